"""The listening model: how much of a track is heard, and when the session ends.

A session draws one of the listener's interests. Its first track is organic: one of the tracks
nearest to the interest, heard whole. Every recommended track is then heard to the share

    expit((track . interest - consume_bias) * consume_sharpness + idiosyncrasy * z(listener, track))
        * gamma ** (earlier tracks of its artist) * (1 - tiredness) ** (recommended tracks before)
        * (1 - satiation) ** (earlier tracks of its genre)

or, with noise, to a share drawn from the Beta distribution of this mean m whose parameters are
noise * m and noise * (1 - m); in hundredths, or not at all when it was already played in this
session. z is standard normal, and always the same for a listener and a track. The logit also has
what is popular, in which language, and how the track before was heard; in worlds of moods 1 or 0
stands for the inner product. The session budget drops by one with probability hazard * (1 - share),
and the session ends when it is spent. "Nearest" means
least Euclidean distance between embeddings, the interest's own track included, or largest inner
product (`sim.worlds.neighbours`).

Pure rules, on arrays with one entry a session; `sim.listening.sessions` keeps the state between
them, `sim.listening.hashes` has the randomness beyond boredom, and `sim.worlds.config` the numbers
of the rules (`ResponseConfig`).
"""

import numpy as np

from looplib.arrays import BoolArray, Float32Array, FloatArray, IntArray


def expit(x: FloatArray) -> FloatArray:
    """Return the logistic function 1 / (1 + exp(-x)) of any finite x."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def raw_share(
    dot: FloatArray,
    bias: FloatArray,
    sharpness: FloatArray,
    own: FloatArray | float = 0.0,
) -> FloatArray:
    """Return the mean share heard of a track of a new artist.

    `dot` is track . interest; `own` adds to the logit.
    """
    return expit((dot - bias) * sharpness + own)


def mean_share(
    raw: FloatArray,
    gamma: FloatArray,
    artist_plays: IntArray,
    tiredness: float,
    recommended: IntArray,
) -> FloatArray:
    """Return the mean share heard after earlier tracks of the artist, and recommended ones."""
    artist_wear = gamma**artist_plays
    session_wear = (1.0 - tiredness) ** recommended
    share: FloatArray = raw * artist_wear * session_wear
    return share


def in_hundredths(share: FloatArray, repeated: BoolArray) -> IntArray:
    """Return shares in hundredths (0..100), 0 of tracks played before."""
    return np.rint(np.where(repeated, 0.0, share) * 100.0).astype(np.int64)


def is_bored(
    hundredths: IntArray, uniform: FloatArray, hazard: float = 1.0
) -> BoolArray:
    """Return whether each track costs a point of the session budget, by a draw from [0, 1)."""
    return uniform < hazard * (1.0 - hundredths / 100.0)


def dot_rows(
    embeddings: Float32Array, tracks: IntArray, vectors: FloatArray
) -> FloatArray:
    """Return inner products of tracks' embeddings with vectors (tracks, dimensions).

    They are in double precision, and a pair's product is the same to the bit whatever pairs are
    beside it.
    """
    rows = embeddings.take(tracks, axis=0).astype(np.float64)
    products: FloatArray = np.vecdot(rows, vectors)
    return products


def scale_below(limits: IntArray, uniform: FloatArray) -> IntArray:
    """Turn a draw from [0, 1) for each limit into a uniform whole number from 0 to below it."""
    return np.minimum((uniform * limits).astype(np.int64), limits - 1)
