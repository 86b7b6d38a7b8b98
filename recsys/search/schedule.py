"""What a search does next: which fits go on to which sweep, and which are given up.

A pure function of what is known, so a search that is run again after a crash goes on where it was, and nothing depends
on the order in which results come.

Successive halving (Jamieson and Talwalkar, AISTATS 2016) with the asynchrony of ASHA (Li et al., MLSys 2020) where it
cannot change the outcome: the size of every rung is known beforehand, so a candidate is promoted as soon as the results
still missing could not push it out, and given up as soon as enough others are better. ASHA promotes on what has come so
far, so that its winner depends on the speed of the workers; this one's does not.

A candidate with several seeds is scored by their mean, and takes its next step when all of them have taken the last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.config import Search
from recsys.runs.scores import Checkpoint, Pruned, Results, Step
from recsys.runs.trials import Candidate

_FAILED = -math.inf


@dataclass(frozen=True)
class Decisions:
    """What follows from what is known.

    Attributes:
        steps: All that can be done now, the most urgent first.
        pruned: Candidates that were given up, by id.
        done: Ids of the candidates that take no further step.
    """

    steps: tuple[Step, ...]
    pruned: dict[str, Pruned]
    done: frozenset[str]


@dataclass(frozen=True)
class Curve:
    """A candidate's scores so far.

    Attributes:
        values: Means over the seeds, at the first points of the search; the last is -inf where a seed failed.
        missing: Steps that are still to be taken to the next point.
    """

    values: tuple[float, ...]
    missing: tuple[Step, ...]

    @property
    def failed(self) -> bool:
        """Whether it goes no further."""
        return bool(self.values) and self.values[-1] == _FAILED


@dataclass(frozen=True)
class Rung:
    """A cut.

    Attributes:
        place: After which of the points.
        keep: How many go on.
        of: Out of how many.
    """

    place: int
    keep: int
    of: int


def checkpoints_of(search: Search) -> tuple[Checkpoint, ...]:
    """The points at which fits are scored, in order; that of a sample of the listeners first."""
    whole = tuple(Checkpoint(sweep) for sweep in search.scored_sweeps)
    if not search.rungs or search.halving.listeners == 1:
        return whole
    return (Checkpoint(search.rungs[0], search.halving.listeners), *whole)


def rungs_of(search: Search, candidates: int) -> tuple[Rung, ...]:
    """The cuts of successive halving, in order."""
    rungs: list[Rung] = []
    for place, point in enumerate(checkpoints_of(search)):
        if point.sweep in search.rungs:
            size = rungs[-1].keep if rungs else candidates
            rungs.append(Rung(place, -(-size // search.halving.eta), size))
    return tuple(rungs)


def decide(search: Search, candidates: Sequence[Candidate], results: Results, metric: str) -> Decisions:
    """What to do next.

    Args:
        search: What is tried and for how long.
        candidates: All of the search's, in the order of their plan.
        results: What is known of their trials, by id.
        metric: Key of the choosing metric.
    """
    points = checkpoints_of(search)
    curves = [curve_of(candidate, points, results, metric) for candidate in candidates]
    stops = (_stop(curve, points, search.patience) for curve in curves)
    stopped = {place: stop for place, stop in enumerate(stops) if stop is not None}
    limits, pruned = _cut(rungs_of(search, len(candidates)), curves, stopped, points, search.halving.eta)
    pruned |= stopped
    going = [
        place
        for place, curve in enumerate(curves)
        if place not in pruned and not curve.failed and len(curve.values) <= limits[place]
    ]
    going.sort(key=lambda place: -len(curves[place].values))
    over = {place for place, curve in enumerate(curves) if curve.failed or len(curve.values) == len(points)}
    return Decisions(
        steps=tuple(step for place in going for step in curves[place].missing),
        pruned={candidates[place].id: reason for place, reason in pruned.items()},
        done=frozenset(candidates[place].id for place in over | pruned.keys()),
    )


def curve_of(candidate: Candidate, points: Sequence[Checkpoint], results: Results, metric: str) -> Curve:
    """A candidate's mean scores at the first points, as far as all its seeds have come."""
    values: list[float] = []
    for point in points:
        missing, scores, failed = [], [], False
        for trial in candidate.trials:
            result = results[trial.id]
            if (score := result.score_at(point)) is not None:
                scores.append(score.metrics[metric][0])
            elif result.failure is not None:
                failed = True
            else:
                missing.append(Step(trial, point))
        if missing:
            return Curve(tuple(values), tuple(missing))
        if failed:
            return Curve((*values, _FAILED), ())
        values.append(float(np.mean(scores)))
    return Curve(tuple(values), ())


def _cut(
    rungs: Sequence[Rung],
    curves: Sequence[Curve],
    stopped: Mapping[int, Pruned],
    points: Sequence[Checkpoint],
    eta: int,
) -> tuple[list[int], dict[int, Pruned]]:
    """How far each candidate may go, as the place of a point, and who is given up."""
    last = len(points) - 1
    limits = [rungs[0].place if rungs else last] * len(curves)
    pruned: dict[int, Pruned] = {}
    inside = list(range(len(curves)))
    for number, rung in enumerate(rungs):
        known = [i for i in inside if len(curves[i].values) > rung.place or curves[i].failed or i in stopped]
        known.sort(key=lambda i: (-_value_at(curves[i], rung, points), i))
        unknown = rung.of - len(known)
        point = points[rung.place]
        for i in known[rung.keep :]:
            if not curves[i].failed and i not in stopped:
                pruned[i] = Pruned(point, f"not among the best {rung.keep} of {rung.of}, one in {eta}")
        inside = known[: max(0, rung.keep - unknown)]
        for i in inside:
            limits[i] = rungs[number + 1].place if number + 1 < len(rungs) else last
    return limits, pruned


def _value_at(curve: Curve, rung: Rung, points: Sequence[Checkpoint]) -> float:
    """The best value up to a rung, of those on the same share of the listeners; a failed candidate's is the least."""
    if curve.failed and len(curve.values) <= rung.place + 1:
        return _FAILED
    share = points[rung.place].listeners
    pairs = zip(curve.values[: rung.place + 1], points, strict=False)
    return max((value for value, point in pairs if point.listeners == share), default=_FAILED)


def _stop(curve: Curve, points: Sequence[Checkpoint], patience: int | None) -> Pruned | None:
    """Whether so many scores in a row were no better than the best before them, at the first such moment."""
    whole = [place for place, point in enumerate(points) if point.listeners == 1 and place < len(curve.values)]
    if patience is None or curve.failed:
        return None
    best = whole[0] if whole else 0
    for place in whole[:-1] if len(curve.values) == len(points) else whole:
        if curve.values[place] > curve.values[best]:
            best = place
        elif place - best >= patience:
            return Pruned(points[place], f"no better for {patience} scores than after sweep {points[best].sweep}")
    return None
