"""Decide the next steps of a search: fits that go on, up to which iteration, and fits that stop.

A schedule is a pure function of the scores. A search that runs again after a crash goes on where
it was, and the order in which results come changes nothing.

Halving stops fits by their learning curves, in the manner of successive halving (Jamieson and
Talwalkar, AISTATS 2016) and of freeze-thaw (Swersky, Snoek and Adams, arXiv 1406.3896): all fits go
to a rung, a number of iterations, and the fits that could still win go on to the next rung. The
share that goes on is not fixed: a fit goes on if it is tied with the best fit, or if it still
learns fast enough to catch up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.statistics.effects import Interval
from recsys.config import Search
from recsys.models.trial import Checkpoint, Trial
from recsys.search.leaderboard import name_axes, rank
from recsys.search.ledger import Score, Scores, failure_of
from recsys.search.trials import plan_beyond

_FAILED = -math.inf
# Steps are geometric, so that many lead to where no model of the field is.
EXPAND_TRIALS = 16
_RANKED = 3  # scores of a fit that a learning curve needs
# The distance that a fit may still catch up, in gains of its last iteration and in gains beyond the
# best fit's. Gains shrink from iteration to iteration. No fit near the best caught up more, on four
# real sets with another grid.
_CATCHES_UP = 0.75
_CATCHES_UP_MORE = 2.0
# A fit has ceased to gain below this share of its best score. Strong regularization keeps a fit
# near to popular for some iterations before it learns.
_FALLEN = 0.99
# The least gain that counts, as a share of the best score: of a tied fit in the iterations that are
# left, and of a step beyond the edges.
_GAINS = 0.01
# Estimates the difference of each checkpoint's metric from the best checkpoint's, with intervals.
Compare = Callable[[tuple[Checkpoint, ...]], Sequence[Interval]]


@dataclass(frozen=True)
class Schedule:
    """The next steps of a search; trials go by their id."""

    steps: tuple[Checkpoint, ...]  # all that can be reached now, the most urgent first
    stopped: Mapping[str, int]  # after which iteration trials were stopped early
    done: frozenset[str]  # trials that take no further step
    added: tuple[Trial, ...] = ()  # trials beyond the edges of the plan
    ended: str = ""  # why no more are added


def decide(
    search: Search,
    candidates: Sequence[Trial],
    scores: Scores,
    select: str,
    compare: Compare,
) -> Schedule:
    """Schedule the next steps of some candidates by their scores."""
    scored = {
        trial.id: search.scored_iterations if trial.is_iterative else (0,)
        for trial in candidates
    }
    curves = {
        trial.id: _curve(scores[trial.id], scored[trial.id], select)
        for trial in candidates
    }
    limit = len(search.scored_iterations)
    stopped: dict[str, int] = {}
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
            steps.append(Checkpoint(trial, scored[trial.id][len(curve)]))
    steps.sort(key=lambda step: -step.priority)
    return Schedule(tuple(steps), stopped, frozenset(done))


def expand(
    search: Search,
    planned: Sequence[Trial],
    scores: Scores,
    select: str,
    compare: Compare,
    dataset: str,
    *,
    is_late: bool = False,
) -> Schedule:
    """Schedule the planned trials, and then trials beyond the edges at which the best trial is.

    A search that expands adds trials while the best score gains. `dataset` is the digest of the
    data. If `is_late`, the time for added trials is over, and their scores so far count.
    """
    schedule = decide(search, planned, scores, select, compare)
    trials = [*planned]
    ended = ""
    while search.expand and not (schedule.steps or ended):
        candidates = rank(trials, {}, scores, select).candidates
        if not candidates:
            break
        best = candidates[0].trial
        beyond = plan_beyond(best, trials, dataset)
        left = EXPAND_TRIALS - len(trials) + len(planned)
        further = [*beyond.values()][:left]
        if is_late:
            further = [trial for trial in further if scores[trial.id]]
        setting = (
            "search.minutes"
            if is_late
            else f"the {EXPAND_TRIALS} trials of an expansion"
        )
        limit = (
            f"the winner is at the edge of {name_axes(best, beyond)}, and {setting} "
            "allow no more"
        )
        if not beyond:
            ended = "the winner is inside of what was tried"
        elif not further:
            ended = limit
        else:
            trials += further
            more = decide(search, [best, *further], scores, select, compare)
            steps = () if is_late else more.steps
            stopped = {**schedule.stopped, **more.stopped}
            schedule = Schedule(steps, stopped, schedule.done | more.done)
            if is_late and more.steps:
                ended = limit
            elif not steps:
                ended = _describe_gain(best, trials, scores, select, compare)
    return replace(schedule, added=tuple(trials[len(planned) :]), ended=ended)


def _describe_gain(
    earlier: Trial,
    trials: Sequence[Trial],
    scores: Scores,
    select: str,
    compare: Compare,
) -> str:
    """Describe the gain on an earlier best trial if it is too small; else return ""."""
    entries = rank(trials, {}, scores, select).candidates
    ranked = [entry.trial for entry in entries]
    if ranked[0] == earlier:
        return ""
    steps = tuple(entry.score.checkpoint for entry in entries)
    gain = compare(steps)[ranked.index(earlier)].scaled(-1)
    gained = f"{gain:.4f} in {select}"
    if gain.lower <= 0:
        return f"the last step gained {gained}, within its interval"
    if gain.value < _GAINS * entries[0].value(select):
        return f"the last step gained {gained}, less than 1 %"
    return ""


def _race(
    candidates: Sequence[Trial],
    scored: Mapping[str, Sequence[int]],
    curves: Mapping[str, Sequence[float]],
    longest: int,
    compare: Compare,
) -> tuple[int, dict[str, int], set[str]]:
    """Stop fits, rung by rung, as far as all of them have come.

    Args:
        candidates: The trials that are compared; the last left goes on alone.
        scored: The iterations after which each trial is scored.
        curves: The values of each trial so far.
        longest: The number of scores of a whole fit.
        compare: Compares the best scored iterations.

    Returns:
        The number of scores to which fits may go on now; the trials that were stopped; and the
            trials that go no further because they have ceased to gain, but can still win.
    """
    stopped: dict[str, int] = {}
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
            Checkpoint(trial, scored[trial.id][curve.index(max(curve))])
            for trial, curve in zip(inside, values, strict=True)
        ]
        behind = compare(tuple(steps)) if steps else []
        best = max(values, key=max, default=[])
        for trial, curve, interval in zip(inside, values, behind, strict=True):
            if not trial.is_iterative or trial.id in flat:
                continue
            iterations = scored[trial.id]
            catch_up = _catch_up(curve, best, iterations)
            if interval.upper < 0 and interval.upper + catch_up < 0:
                stopped[trial.id] = iterations[len(curve) - 1]
            elif curve[-1] < _FALLEN * max(curve):
                flat.add(trial.id)
            elif interval.upper >= 0 and len(curve) > _RANKED:
                little = _GAINS * max(curve)
                is_level = curve is not best and interval.value + catch_up < little
                if is_level or _may_gain(curve, iterations) < little:
                    flat.add(trial.id)
    return longest, stopped, flat


def _catch_up(
    curve: Sequence[float],
    best: Sequence[float],
    iterations: Sequence[int],
) -> float:
    """Estimate how much nearer to the best a fit may come; below 0, how much further behind.

    While its gains grow, it may gain twice as much in every iteration that is left.

    Args:
        curve: Its values so far.
        best: The values of the best trial, fewer if it goes no further or has none.
        iterations: The iterations after which a whole fit is scored.
    """
    before, last = _last_gains(curve, iterations)
    if last > max(before, 0):
        return 2 * _may_gain(curve, iterations)
    best_gain = _last_gains(best, iterations)[1] if len(best) == len(curve) else 0.0
    more = max(last, 0) - max(best_gain, 0)
    return min(_CATCHES_UP * max(last, 0), _CATCHES_UP_MORE * more)


def _may_gain(curve: Sequence[float], iterations: Sequence[int]) -> float:
    """Extrapolate the gain in the iterations that are left, at the present pace."""
    return (iterations[-1] - iterations[len(curve) - 1]) * _last_gains(
        curve, iterations
    )[1]


def _last_gains(
    curve: Sequence[float], iterations: Sequence[int]
) -> tuple[float, float]:
    """Compute the gain per iteration before the second last score, and after it."""
    steps = iterations[len(curve) - 3 : len(curve)]
    before, last = (np.diff(curve[-3:]) / np.diff(steps)).tolist()
    return before, last


def _curve(
    scores: tuple[Score, ...],
    iterations: Sequence[int],
    select: str,
) -> list[float]:
    """List a candidate's values at the scored iterations so far; the last is -inf if it failed."""
    by_iteration = {score.iteration: score for score in scores if score.error is None}
    values: list[float] = []
    for iteration in iterations:
        if iteration not in by_iteration:
            return [*values, _FAILED] if failure_of(scores) else values
        values.append(by_iteration[iteration].metrics[select].value)
    return values
