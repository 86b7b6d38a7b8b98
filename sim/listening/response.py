"""The listening model of the original course service: shares heard, and the end of a session.

A session has one of its listener's interests, which are tracks. Its first track is organic: one of
the ten tracks nearest to the interest, heard whole. Every recommended track is then heard to the
share

    expit((track . interest - consume_bias) * consume_sharpness + idiosyncrasy * z(listener, track))
        * gamma ** (earlier tracks of its artist) * (1 - tiredness) ** (recommended tracks before)

in hundredths, or not at all when it was already played in this session. z is standard normal, and
always the same for a listener and a track; the original has neither z nor tiredness. The session
budget drops by one with probability 1 - share, and the session ends when it is spent. "Nearest"
means least Euclidean distance between embeddings, the interest's own track included, or largest
inner product (`sim.worlds.neighbours`).

These are pure rules, on arrays with an entry for each session; `sim.listening.sessions` has the
state between them, and `sim.worlds.config` their numbers.
"""

import numpy as np

from looplib.arrays import BoolArray, Float32Array, FloatArray, IntArray


def dot_rows(
    embeddings: Float32Array, tracks: IntArray, interests: IntArray
) -> FloatArray:
    """Compute inner products of tracks with interests, which are tracks, pair by pair.

    They are in double precision, and a pair's product is the same to the bit whatever pairs are
    beside it.
    """
    rows = embeddings.take(tracks, axis=0).astype(np.float64)
    vectors = embeddings.take(interests, axis=0).astype(np.float64)
    products: FloatArray = np.vecdot(rows, vectors)
    return products


def heard_hundredths(
    logit: FloatArray,
    artist_wear: FloatArray,
    session_wear: FloatArray,
    is_repeat: BoolArray,
) -> IntArray:
    """Compute the shares heard, in hundredths (0..100); 0 of tracks played before."""
    expit = 0.5 * (1.0 + np.tanh(0.5 * logit))
    share = expit * artist_wear * session_wear
    return np.rint(np.where(is_repeat, 0.0, share) * 100.0).astype(np.int64)
