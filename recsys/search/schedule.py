"""Decide what a search does next: which fits go on to which scored sweep, and which are stopped.

A pure function of what is known, so a search that is run again after a crash goes on where it was,
and nothing depends on the order in which results come.

Halving stops fits by their learning curves, in the manner of successive halving (Jamieson and
Talwalkar, AISTATS 2016) and of freeze-thaw (Swersky, Snoek and Adams, arXiv 1406.3896): all fits go
to a rung, a number of sweeps, and those that could still win go on to the next. The share that goes
on is not fixed: a fit that is tied with the best is never stopped for it, and neither is one that
still learns fast enough to catch up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.config import Search
from recsys.runs.ledger import Score, Scores, Stop, failure_of
from recsys.runs.trials import Trial
from recsys.scoring import MetricValue

_FAILED = -math.inf
_RANKED = 3  # scores of a fit from which on its learning curve is known
# What a fit may still come nearer to the best, in gains of its last sweep; and in what it gained
# more than the best. Gains shrink from sweep to sweep: on six real sets, no fit of another grid
# that came near to the best made up for more.
_CATCHES_UP = 0.75
_CATCHES_UP_MORE = 2.0
# Of its best score: below that a fit has ceased to gain. Strong regularization keeps a fit near to
# popular for some sweeps before it learns.
_FALLEN = 0.99
# Of its best score: what a fit that is tied with the best has to gain in the sweeps that are left,
# at its present pace, and by how much it has to be better then.
_GAINS = 0.01
_BEHIND = "behind the best by more than its interval and what it may still gain"
Step = tuple[Trial, int]  # a trial, and the sweep after which it is scored
# How far the metric of each step is behind that of the best one, with the interval.
Compare = Callable[[tuple[Step, ...]], Sequence[MetricValue]]


@dataclass(frozen=True)
class Decisions:
    """What follows from what is known; candidates go by their id."""

    steps: tuple[Step, ...]  # all that can be done now, the most urgent first
    stopped: dict[str, Stop]  # candidates that were stopped early
    done: frozenset[str]  # candidates that take no further step

    def join(self, others: "Decisions") -> "Decisions":
        """Return these decisions with those on other candidates."""
        return Decisions(
            (*self.steps, *others.steps),
            self.stopped | others.stopped,
            self.done | others.done,
        )


def decide(
    search: Search,
    candidates: Sequence[Trial],
    scores: Scores,
    metric: str,
    compare: Compare,
) -> Decisions:
    """Decide what to do next, given what is known of the candidates."""
    scored = {
        trial.id: search.scored_sweeps if trial.takes_sweeps else (0,)
        for trial in candidates
    }
    curves = {
        trial.id: _curve(scores[trial.id], scored[trial.id], metric)
        for trial in candidates
    }
    limit = len(search.scored_sweeps)
    stopped: dict[str, Stop] = {}
    flat: set[str] = set()
    if search.strategy == "halving":
        limit, stopped, flat = _race(candidates, scored, curves, limit, compare)
    steps = []
    done = set()
    for trial in candidates:
        curve = curves[trial.id]
        is_complete = _FAILED in curve or len(curve) == len(scored[trial.id])
        if is_complete or trial.id in stopped or trial.id in flat:
            done.add(trial.id)
        elif len(curve) < limit:
            steps.append((trial, scored[trial.id][len(curve)]))
    # what takes no sweeps is waited for; then fits that have begun
    steps.sort(key=lambda step: (step[0].takes_sweeps, -len(curves[step[0].id])))
    return Decisions(tuple(steps), stopped, frozenset(done))


def _race(
    candidates: Sequence[Trial],
    scored: Mapping[str, Sequence[int]],
    curves: Mapping[str, Sequence[float]],
    longest: int,
    compare: Compare,
) -> tuple[int, dict[str, Stop], set[str]]:
    """Stop fits, rung by rung, as far as all of them have come.

    Args:
        candidates: What is compared; a fit goes on alone, if no other is left.
        scored: The sweeps after which each is scored.
        curves: The values of each so far.
        longest: The number of scores of a whole fit.
        compare: Compares the best scored sweeps.

    Returns:
        The number of scores to which fits may go on now; those that were stopped; and those that
        go no further, as they have ceased to gain, but can still win.
    """
    stopped: dict[str, Stop] = {}
    flat: set[str] = set()
    for rung in range(_RANKED, longest):
        inside = [
            trial
            for trial in candidates
            if trial.id not in stopped and _FAILED not in curves[trial.id][:rung]
        ]
        for trial in inside:
            awaited = min(rung, len(scored[trial.id]))
            if trial.id not in flat and len(curves[trial.id]) < awaited:
                return rung, stopped, flat
        values = [curves[trial.id][:rung] for trial in inside]
        steps = [
            (trial, scored[trial.id][curve.index(max(curve))])
            for trial, curve in zip(inside, values, strict=True)
        ]
        behind = compare(tuple(steps)) if steps else []
        best = max(values, key=max, default=[])
        for trial, curve, interval in zip(inside, values, behind, strict=True):
            if not trial.takes_sweeps or trial.id in flat:
                continue
            sweeps = scored[trial.id]
            catch_up = _catch_up(curve, best, sweeps)
            if interval[2] < 0 and interval[2] + catch_up < 0:
                stopped[trial.id] = Stop(sweeps[len(curve) - 1], _BEHIND)
            elif curve[-1] < _FALLEN * max(curve):
                flat.add(trial.id)
            elif interval[2] >= 0 and len(curve) > _RANKED:
                little = _GAINS * max(curve)
                is_level = curve is not best and interval[0] + catch_up < little
                if is_level or _may_gain(curve, sweeps) < little:
                    flat.add(trial.id)
    return longest, stopped, flat


def _catch_up(
    curve: Sequence[float],
    best: Sequence[float],
    sweeps: Sequence[int],
) -> float:
    """Return by how much a fit may still come nearer to the best; below 0, fall behind further.

    While its gains grow, it may gain twice as much in every sweep that is left.

    Args:
        curve: Its values so far.
        best: Those of the best, fewer if that one goes no further or takes no sweeps.
        sweeps: The sweeps after which a whole fit is scored.
    """
    before, last = _last_gains(curve, sweeps)
    if last > max(before, 0):
        return 2 * _may_gain(curve, sweeps)
    of_best = _last_gains(best, sweeps)[1] if len(best) == len(curve) else 0.0
    more = max(last, 0) - max(of_best, 0)
    return min(_CATCHES_UP * max(last, 0), _CATCHES_UP_MORE * more)


def _may_gain(curve: Sequence[float], sweeps: Sequence[int]) -> float:
    """Return what a fit would gain in the sweeps that are left, at its present pace."""
    return (sweeps[-1] - sweeps[len(curve) - 1]) * _last_gains(curve, sweeps)[1]


def _last_gains(curve: Sequence[float], sweeps: Sequence[int]) -> tuple[float, float]:
    """Return what a fit gained a sweep before its last score but one, and from there on."""
    steps = sweeps[len(curve) - 3 : len(curve)]
    before, last = (np.diff(curve[-3:]) / np.diff(steps)).tolist()
    return before, last


def _curve(
    scores: tuple[Score, ...],
    sweeps: Sequence[int],
    metric: str,
) -> list[float]:
    """Return a candidate's values at the scored sweeps so far; the last is -inf where it failed."""
    by_sweep = {score.sweep: score for score in scores if score.error is None}
    values: list[float] = []
    for sweep in sweeps:
        if sweep not in by_sweep:
            return [*values, _FAILED] if failure_of(scores) else values
        values.append(by_sweep[sweep].metrics[metric][0])
    return values
