"""Choose what the session recommender serves: the session model, or a plain recommender.

Each is valued by the share heard of those tracks that are among the best hundredth of the catalogue
for it, given the session so far: the self-normalised estimate of `analysis.offpolicy`, on held-out
sessions. The model is served if it is significantly better than each of the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE, Interval
from looplib.arrays import BoolArray, Float32Array, FloatArray, IntArray
from looplib.randomness import make_generator

NAME = "session_model"
_BEST = 0.01  # share of the catalogue that a recommender is valued by
_SCORED = 30_000  # responses at most
_AT_ONCE = 256
_RESAMPLES = 1000
_FEWEST = 100  # responses to what a recommender likes best

# Scores of all tracks, shape (events, tracks), by what was heard before events in their sessions.
Score = Callable[[LoggedSessions, IntArray], Float32Array]


@dataclass(frozen=True)
class Choice:
    """What is served, and why."""

    serves: str
    reason: str
    # heard of what each recommender likes best
    shares: Mapping[str, Interval] = field(default_factory=dict)


def sample_events(sessions: LoggedSessions, seed: int) -> IntArray:
    """Draw responses of a known propensity to tracks that are new to their sessions."""
    events = np.flatnonzero(sessions.counted & sessions.is_fresh)
    if len(events) > _SCORED:
        generator = make_generator(seed, "choice")
        events = np.sort(generator.choice(events, _SCORED, replace=False))
    return events


def choose(
    sessions: LoggedSessions, events: IntArray, scores: Mapping[str, Score], seed: int
) -> Choice:
    """Choose by held-out events between the session model and others, by the scores of each.

    A recommender is valued by what was heard of the tracks that it likes best. One whose scores do
    not vary likes none. The second of `scores` is served where nothing else is known; the seed
    decides the resamples.
    """
    liked = {name: _find_liked(sessions, events, own) for name, own in scores.items()}
    known = [name for name, is_liked in liked.items() if is_liked.sum() >= _FEWEST]
    others = [name for name in known if name != NAME]
    if not others:
        return Choice(
            list(scores)[1],
            f"held-out sessions have fewer than {_FEWEST} responses of known propensity to the "
            "best tracks of each",
        )
    users, unit = np.unique(sessions.listener[events], return_inverse=True)
    weights = np.stack([liked[name] / sessions.propensity[events] for name in known])

    def total(values: FloatArray) -> FloatArray:
        return np.stack([np.bincount(unit, own, len(users)) for own in values], axis=1)

    ratios = bootstrap.Ratios(total(weights * sessions.time[events]), total(weights))
    resamples = bootstrap.Resamples(len(users), _RESAMPLES, seed)
    intervals = bootstrap.ratio_intervals(resamples, ratios)
    shares = dict(zip(known, intervals, strict=True))
    best = max(others, key=lambda name: shares[name].value)
    if NAME not in known:
        return Choice(best, "its scores hardly vary", shares)
    drawn = bootstrap.estimate(resamples, ratios)
    gains = drawn[:, known.index(NAME)] - drawn[:, known.index(best)]
    if np.quantile(gains, (1 - CONFIDENCE) / 2) > 0:
        return Choice(NAME, f"it is better than {best}", shares)
    return Choice(best, f"it is not significantly better than {best}", shares)


def _find_liked(sessions: LoggedSessions, events: IntArray, score: Score) -> BoolArray:
    """Return which of the events' tracks are among the best."""
    is_liked = np.zeros(len(events), np.bool_)
    for start in range(0, len(events), _AT_ONCE):
        some = events[start : start + _AT_ONCE]
        scores = score(sessions, some)
        own = scores[np.arange(len(some)), sessions.track[some]]
        rank = np.count_nonzero(scores >= own[:, None], axis=1)
        is_liked[start : start + _AT_ONCE] = rank <= max(1, _BEST * scores.shape[1])
    return is_liked
