"""Choose what the session recommender serves: the session model, or a plain recommender.

Each is valued by the share heard of those tracks that are among the best hundredth of the catalogue
for it, given the session so far: the self-normalised estimate of `analysis.offpolicy`, on held-out
sessions. The model is served if it is significantly better than each of the others.
"""

from collections.abc import Callable, Mapping, Sequence
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
_LEAST_SPREAD = 1e-6  # standard deviation of the scores of a session


@dataclass(frozen=True)
class Prefix:
    """A session so far."""

    listener: int  # row of the dataset
    tracks: Sequence[int]  # columns of the dataset
    times: Sequence[float]  # share heard of each


# Scores of all tracks, shape (prefixes, tracks).
Score = Callable[[Sequence[Prefix]], Float32Array]


@dataclass(frozen=True)
class Choice:
    """What is served, and why."""

    serves: str
    reason: str
    # heard of what each recommender likes best
    shares: Mapping[str, Interval] = field(default_factory=dict)
    gain: Interval | None = None  # of the model over the best of the others


@dataclass(frozen=True)
class HeldOut:
    """Held-out responses with a known propensity, each with the session before it."""

    prefixes: Sequence[Prefix]
    listener: IntArray  # (responses,)
    track: IntArray  # (responses,)
    time: FloatArray  # (responses,), share heard
    weight: FloatArray  # (responses,), 1 / propensity

    @classmethod
    def sample(cls, sessions: LoggedSessions, seed: int) -> "HeldOut":
        """Take the responses to tracks that are new to their sessions, or some of many."""
        rows = np.flatnonzero(sessions.counted & sessions.is_fresh)
        if len(rows) > _SCORED:
            generator = make_generator(seed, "choice")
            rows = np.sort(generator.choice(rows, _SCORED, replace=False))
        listener = sessions.users[sessions.listener[rows]]
        prefixes = []
        for row, own in zip(rows.tolist(), listener.tolist(), strict=True):
            heard = slice(sessions.first[row], row)
            tracks, times = sessions.track[heard], sessions.time[heard]
            prefixes.append(Prefix(own, tracks.tolist(), times.tolist()))
        weight = 1 / sessions.propensity[rows]
        return cls(
            prefixes, listener, sessions.track[rows], sessions.time[rows], weight
        )

    def match(self, score: Score) -> tuple[BoolArray, float]:
        """Return which tracks are among the best, and the mean spread of a session's scores."""
        is_best = np.zeros(len(self.track), np.bool_)
        spread = 0.0
        for start in range(0, len(is_best), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            scores = score(self.prefixes[part])
            own = scores[np.arange(len(scores)), self.track[part]]
            rank = np.count_nonzero(scores >= own[:, None], axis=1)
            is_best[part] = rank <= max(1, _BEST * scores.shape[1])
            spread += float(scores.std(axis=1).sum())
        return is_best, spread / max(len(is_best), 1)


def choose(heldout: HeldOut, scores: Mapping[str, Score], seed: int) -> Choice:
    """Choose by held-out sessions between the model and others, by the scores of each.

    The second of `scores` is served where too little is known to choose. The seed decides the
    resamples.
    """
    matches = {name: heldout.match(score) for name, score in scores.items()}
    known = {
        name: is_best
        for name, (is_best, _) in matches.items()
        if np.count_nonzero(is_best) >= _FEWEST
    }
    varies = matches[NAME][1] >= _LEAST_SPREAD
    if known.keys() <= {NAME}:
        return Choice(
            list(scores)[1],
            f"held-out sessions have fewer than {_FEWEST} responses of known propensity to the "
            "best tracks of each",
        )
    resamples, ratios = _value(heldout, known, seed)
    intervals = bootstrap.ratio_intervals(resamples, ratios)
    shares = dict(zip(known, intervals, strict=True))
    best = max(known.keys() - {NAME}, key=lambda name: shares[name].value)
    if NAME not in known or not varies:
        reason = "its scores hardly vary" if varies else "its scores do not vary"
        return Choice(best, reason, shares)
    names = list(known)
    drawn = bootstrap.estimate(resamples, ratios)
    gains = drawn[:, names.index(NAME)] - drawn[:, names.index(best)]
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(gains, [tail, 1 - tail]).tolist()
    gain = Interval(shares[NAME].value - shares[best].value, lower, upper)
    if lower > 0:
        return Choice(NAME, f"it is better than {best}", shares, gain)
    return Choice(best, f"it is not significantly better than {best}", shares, gain)


def _value(
    heldout: HeldOut, known: Mapping[str, BoolArray], seed: int
) -> tuple[bootstrap.Resamples, bootstrap.Ratios]:
    """Sum weights and times of the tracks matched over each listener."""
    users, unit = np.unique(heldout.listener, return_inverse=True)

    def total(values: FloatArray) -> FloatArray:
        sums = [np.bincount(unit, own * values) for own in known.values()]
        return np.stack(sums, axis=1)

    weights, times = total(heldout.weight), total(heldout.weight * heldout.time)
    resamples = bootstrap.Resamples(len(users), _RESAMPLES, seed)
    return resamples, bootstrap.Ratios(times, weights)
