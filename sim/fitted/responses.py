"""How much logged listeners hear: a world's response fitted to the sessions of a log.

The interest of a session is its organic track o, and listener u hears of track a the mean share

    m = expit(a_u + b cos(o, a)) * gamma ** (earlier tracks of the artist) * (1 - tiredness) **
    (recommended before).

a_u is normal over the listeners. Newton's method solves the equations sum z (share - m) = 0, where
z is 1 for a listener, drawn towards all, and the cosine and the two counts for all events
(quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, 1989, ch. 9); so every
listener's mean share is the data's. Each listener's a_u is then drawn from what the data leave
open: means of few sessions spread too much, and estimates drawn towards all too little. What the
cosine does not say is idiosyncrasy, always the same for a listener and a track, and noise: so much
of each that the shares' distribution is the data's. The session budget is the mean sum of 1 -
share.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.figures import Heard
from sim.listening.hashes import betas, bits_of
from sim.listening.response import expit
from sim.worlds.config import ResponseConfig

_SWEEPS = 25
_SAMPLE = 50_000  # events that noise and idiosyncrasy are chosen on
_NOISE = (None, 100.0, 30.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.0)
_IDIOSYNCRASY = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
_AT_ONCE = 1_000_000  # events whose cosines are computed together
_LEAST = 1e-9


@dataclass(frozen=True)
class Response:
    """How much listeners hear, and how long their sessions are."""

    squared_length: float  # of all embeddings
    bias: FloatArray  # (listeners,)
    sharpness: FloatArray  # (listeners,)
    session_budget: IntArray  # (listeners,)
    gamma: float
    beyond: ResponseConfig
    # mean share heard of tracks near an interest; None where a log says it
    near_share: float | None = None


@dataclass(frozen=True)
class _Events:
    """Recommended tracks that were not heard earlier in their sessions."""

    listener: IntArray
    cosine: FloatArray
    counts: FloatArray  # (events, 2): earlier tracks of the artist, recommended tracks before
    share: FloatArray


def fit_response(
    log: Heard, directions: FloatArray, artist: IntArray, seed: int
) -> Response:
    """Fit to a log, whose listeners are 0..n-1; `directions` (tracks, dimensions) have length 1."""
    events = _events(log, directions, artist)
    listeners = int(log.listener.max()) + 1
    wants, slope, wear, open_variance = _solve(events, listeners)
    rng = make_generator(seed, "fitted response")
    wants = wants + np.sqrt(open_variance) * rng.standard_normal(listeners)
    noise, idiosyncrasy = _spread(events, wants, slope, wear, rng)
    stretch = _stretch(idiosyncrasy)
    unheard = float(
        (1 - log.hundredths / 100.0)[log.position > 0].sum() / len(log.listener)
    )
    gamma, awake = np.round(np.exp(wear), 4).tolist()
    return Response(
        squared_length=round(slope * stretch, 3),
        bias=np.round(-wants * stretch, 3),
        sharpness=np.ones(listeners),
        session_budget=np.maximum(np.floor(unheard + rng.random(listeners)), 1).astype(
            np.int64
        ),
        gamma=gamma,
        beyond=ResponseConfig(
            noise=noise,
            idiosyncrasy=idiosyncrasy,
            tiredness=round(1 - awake, 4),
            organic_neighbours=1,
        ),
    )


def _events(log: Heard, directions: FloatArray, artist: IntArray) -> _Events:
    """Describe the recommended tracks of a log, but for those of the organic track's artist.

    A session likes these more than the cosine says, which would hide that artists wear out.
    """
    session, tracks, by = log.session, log.tracks, artist[log.tracks]
    organic = log.organic[session]
    is_fresh = (log.position > 0) & (_earlier_equal(session, tracks) == 0)
    rows = np.flatnonzero(is_fresh & (by != artist[organic]))
    cosine = np.empty(len(rows))
    for part in np.array_split(np.arange(len(rows)), len(rows) // _AT_ONCE + 1):
        cosine[part] = np.vecdot(
            directions[organic[rows[part]]], directions[tracks[rows[part]]]
        )
    counts = np.column_stack(
        [_earlier_equal(session, by)[rows], log.position[rows] - 1]
    ).astype(np.float64)
    return _Events(
        log.listener[session[rows]], cosine, counts, log.hundredths[rows] / 100.0
    )


def _solve(
    events: _Events, listeners: int
) -> tuple[FloatArray, float, FloatArray, FloatArray]:
    """Return a_u, b, the logarithms of gamma and 1 - tiredness, and the variance that is left open of each a_u."""
    who, share = events.listener, events.share
    known = np.column_stack([events.cosine, events.counts])
    common, variance, dispersion = np.array([1.0, -0.1, 0.0]), 1.0, 0.5
    mean = np.clip(share.mean(), 0.01, 0.99)
    wants: FloatArray = np.full(listeners, np.log(mean / (1 - mean)))
    for _ in range(_SWEEPS):
        fresh = expit(wants[who] + common[0] * events.cosine)
        heard = fresh * np.exp(events.counts @ common[1:])
        error, grows = share - heard, heard * (1 - fresh)
        ridge = dispersion / variance
        information = np.bincount(who, grows, listeners) + ridge
        wants += (
            np.bincount(who, error, listeners) - ridge * (wants - wants.mean())
        ) / information
        changes = np.column_stack(
            [grows * events.cosine, heard[:, np.newaxis] * events.counts]
        )
        step = np.linalg.solve(known.T @ changes + _LEAST * np.eye(3), known.T @ error)
        common = np.clip(common + step, [0.1, -3.0, -1.0], [30.0, 0.0, 0.0])
        dispersion = float(
            (error**2).sum() / max(float((heard * (1 - heard)).sum()), _LEAST)
        )
        variance = float(np.var(wants) + np.mean(dispersion / information)) + _LEAST
    open_variance: FloatArray = (dispersion / information).astype(np.float64)
    return wants, float(common[0]), common[1:], open_variance


def _spread(
    events: _Events,
    wants: FloatArray,
    slope: float,
    wear: FloatArray,
    rng: np.random.Generator,
) -> tuple[float | None, float]:
    """Choose noise and idiosyncrasy by the largest difference of the shares' distribution functions, of some events."""
    rows = rng.permutation(len(events.share))[:_SAMPLE]
    logit = wants[events.listener[rows]] + slope * events.cosine[rows]
    worn, own, bits = (
        np.exp(events.counts[rows] @ wear),
        rng.standard_normal(len(rows)),
        bits_of(rng.random(len(rows))),
    )
    wanted = _distribution(events.share[rows])

    def distance(noise: float | None, sigma: float) -> float:
        share = expit(logit * _stretch(sigma) + sigma * own) * worn
        drawn = share if noise is None else betas(share, noise, bits)
        return float(np.abs(_distribution(drawn) - wanted).max())

    return min(product(_NOISE, _IDIOSYNCRASY), key=lambda pair: distance(*pair))


def _distribution(share: FloatArray) -> FloatArray:
    """Return which part of some shares is no more than 0, 1, … 100 hundredths."""
    return np.cumsum(
        np.bincount(np.rint(100 * share).astype(np.int64), minlength=101)
    ) / max(len(share), 1)


def _stretch(sigma: float) -> float:
    """Return the factor on a logit that keeps the mean share when a normal of this sigma is added.

    The mean of expit(x) over a normal x is about expit(mean / sqrt(1 + pi / 8 variance)) (MacKay,
    The Evidence Framework Applied to Classification Networks, 1992).
    """
    return float(np.sqrt(1 + np.pi / 8 * sigma**2))


def _earlier_equal(session: IntArray, values: IntArray) -> IntArray:
    """Count the earlier events of each one's session that have the same value; events are session by session."""
    key = session * (int(values.max()) + 1) + values
    order = np.argsort(key, kind="stable")
    number = np.arange(len(key))
    begins = np.append(True, np.diff(key[order]) != 0)
    counts = np.empty(len(key), dtype=np.int64)
    counts[order] = number - np.maximum.accumulate(np.where(begins, number, 0))
    return counts
