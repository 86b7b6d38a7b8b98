"""Choose what the session recommender serves: the session model, or a plain recommender.

Each is valued by the share that would be heard if it drew its track of rank r in proportion to
1 / (10 + r), given the session so far: the self-normalised estimate of `analysis.offpolicy`, on
held-out sessions. The tracks that a session would hear, the best ten or so, count most, and every
response counts. The model is served if it is significantly better than each of the others; one
whose scores do not vary has the last rank everywhere, and so the value of a random track.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE, Interval
from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.randomness import make_generator

NAME = "session_model"
_SCORED = 100_000  # responses at most
_SCORES = 1_500_000_000  # of all tracks at these, at most
_PLAYED = 10  # tracks that a session hears
_AT_ONCE = 256
_RESAMPLES = 1000
_FEWEST = 1000  # responses

# Scores of all tracks, shape (events, tracks), by what was heard before events in their sessions.
Score = Callable[[LoggedSessions, IntArray], Float32Array]


@dataclass(frozen=True)
class Choice:
    """What is served, and why."""

    serves: str
    reason: str
    # that would be heard by each recommender
    shares: Mapping[str, Interval] = field(default_factory=dict)


def sample_events(sessions: LoggedSessions, tracks: int, seed: int) -> IntArray:
    """Draw responses of a known propensity to tracks that are new to their sessions."""
    events = np.flatnonzero(sessions.counted & sessions.is_fresh)
    most = min(_SCORED, _SCORES // tracks)
    if len(events) > most:
        generator = make_generator(seed, "choice")
        events = np.sort(generator.choice(events, most, replace=False))
    return events


def choose(
    sessions: LoggedSessions, events: IntArray, scores: Mapping[str, Score], seed: int
) -> Choice:
    """Choose by held-out events between the session model and others, by the scores of each.

    The second of `scores` is served where too little is known; the seed decides the resamples.
    """
    names = list(scores)
    if len(events) < _FEWEST:
        return Choice(
            names[1],
            f"held-out sessions have fewer than {_FEWEST} responses of known propensity",
        )
    users, unit = np.unique(sessions.listener[events], return_inverse=True)
    ranks = np.stack([_find_ranks(sessions, events, own) for own in scores.values()])
    weights = 1 / ((_PLAYED + ranks) * sessions.propensity[events])

    def total(values: FloatArray) -> FloatArray:
        sums = [np.bincount(unit, own, len(users)) for own in values]
        return np.stack(sums, axis=1)

    heard = total(weights * sessions.time[events])
    ratios = bootstrap.Ratios(heard, total(weights))
    resamples = bootstrap.Resamples(len(users), _RESAMPLES, seed)
    intervals = bootstrap.ratio_intervals(resamples, ratios)
    shares = dict(zip(names, intervals, strict=True))
    best = max(names[1:], key=lambda name: shares[name].value)
    drawn = bootstrap.estimate(resamples, ratios)
    gains = drawn[:, names.index(NAME)] - drawn[:, names.index(best)]
    if np.quantile(gains, (1 - CONFIDENCE) / 2) > 0:
        return Choice(NAME, f"it is better than {best}", shares)
    return Choice(best, f"it is not significantly better than {best}", shares)


def _find_ranks(sessions: LoggedSessions, events: IntArray, score: Score) -> IntArray:
    """Return the rank of each event's track, 1 for the best; the worst one of equal scores."""
    ranks = np.zeros(len(events), np.int64)
    for start in range(0, len(events), _AT_ONCE):
        some = events[start : start + _AT_ONCE]
        scores = score(sessions, some)
        own = scores[np.arange(len(some)), sessions.track[some]]
        better = scores >= own[:, None]
        ranks[start : start + _AT_ONCE] = np.count_nonzero(better, axis=1)
    return ranks
