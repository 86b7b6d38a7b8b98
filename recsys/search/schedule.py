"""What a search does next: which fits go on to which checkpoint, and which are stopped.

A pure function of what is known, so a search that is run again after a crash goes on where it was, and nothing depends
on the order in which results come.

Successive halving (Jamieson and Talwalkar, AISTATS 2016) with the asynchrony of ASHA (Li et al., MLSys 2020) where it
cannot change the outcome: the size of every rung is known beforehand, so a candidate is promoted as soon as the results
still missing could not push it out, and stopped as soon as enough others are better. ASHA promotes on what has come so
far, so that its winner depends on the speed of the workers; this one's does not.

A candidate with several seeds is scored by their mean, and takes its next step when all of them have taken the last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.config import Search
from recsys.runs.scores import Checkpoint, Scores, Stop, failure_of, score_at
from recsys.runs.trials import Candidate, Trial

_FAILED = -math.inf
Step = tuple[Trial, Checkpoint]  # the work between two scores of a trial


@dataclass(frozen=True)
class Decisions:
    """What follows from what is known; candidates go by the id of their first trial."""

    steps: tuple[Step, ...]  # all that can be done now, the most urgent first
    stopped: dict[str, Stop]  # candidates that were stopped early
    done: frozenset[str]  # candidates that take no further step


@dataclass(frozen=True)
class _Curve:
    """A candidate's scores so far."""

    values: tuple[float, ...]  # means over the seeds, at the first checkpoints; the last is -inf where a seed failed
    missing: tuple[Step, ...]  # to the next checkpoint

    @property
    def failed(self) -> bool:
        return bool(self.values) and self.values[-1] == _FAILED


@dataclass(frozen=True)
class Rung:
    """A cut of successive halving."""

    position: int  # of the checkpoint after which it is made, from 0
    keep: int  # candidates that go on
    of: int  # candidates before the cut


def checkpoints_of(search: Search) -> tuple[Checkpoint, ...]:
    """Return the checkpoints at which fits are scored, in order."""
    return tuple(Checkpoint(sweep) for sweep in search.scored_sweeps)


def rungs_of(search: Search, candidates: int) -> tuple[Rung, ...]:
    """Return the cuts of successive halving, in order."""
    rungs: list[Rung] = []
    for position, checkpoint in enumerate(checkpoints_of(search)):
        if checkpoint.sweep in search.rungs:
            size = rungs[-1].keep if rungs else candidates
            rungs.append(Rung(position, -(-size // search.halving.eta), size))
    return tuple(rungs)


def decide(search: Search, candidates: Sequence[Candidate], scores: Scores, metric: str) -> Decisions:
    """Decide what to do next, given the planned candidates, what is known of their trials, and the choosing metric."""
    checkpoints = checkpoints_of(search)
    curves = [_curve_of(candidate, checkpoints, scores, metric) for candidate in candidates]
    early = (_stop(curve, checkpoints, search.patience) for curve in curves)
    patient = {number: stop for number, stop in enumerate(early) if stop is not None}
    limits, stopped = _cut(rungs_of(search, len(candidates)), curves, patient, checkpoints, search.halving.eta)
    stopped |= patient
    going = [
        number
        for number, curve in enumerate(curves)
        if number not in stopped and not curve.failed and len(curve.values) <= limits[number]
    ]
    going.sort(key=lambda number: -len(curves[number].values))
    over = {number for number, curve in enumerate(curves) if curve.failed or len(curve.values) == len(checkpoints)}
    return Decisions(
        steps=tuple(step for number in going for step in curves[number].missing),
        stopped={candidates[number][0].id: stop for number, stop in stopped.items()},
        done=frozenset(candidates[number][0].id for number in over | stopped.keys()),
    )


def _curve_of(candidate: Candidate, checkpoints: Sequence[Checkpoint], scores: Scores, metric: str) -> _Curve:
    """Return a candidate's mean scores at the first checkpoints, as far as all its seeds have come."""
    values: list[float] = []
    for checkpoint in checkpoints:
        missing, found, failed = [], [], False
        for trial in candidate:
            if (score := score_at(scores[trial.id], checkpoint)) is not None:
                found.append(score.metrics[metric][0])
            elif failure_of(scores[trial.id]) is not None:
                failed = True
            else:
                missing.append((trial, checkpoint))
        if missing:
            return _Curve(tuple(values), tuple(missing))
        if failed:
            return _Curve((*values, _FAILED), ())
        values.append(float(np.mean(found)))
    return _Curve(tuple(values), ())


def _cut(
    rungs: Sequence[Rung],
    curves: Sequence[_Curve],
    patient: Mapping[int, Stop],
    checkpoints: Sequence[Checkpoint],
    eta: int,
) -> tuple[list[int], dict[int, Stop]]:
    """Return how far each candidate may go, as the position of a checkpoint, and which are cut."""
    last = len(checkpoints) - 1
    limits = [rungs[0].position if rungs else last] * len(curves)
    cut: dict[int, Stop] = {}
    inside = list(range(len(curves)))
    for number, rung in enumerate(rungs):
        known = [i for i in inside if len(curves[i].values) > rung.position or curves[i].failed or i in patient]
        known.sort(key=lambda i: (-_value_at(curves[i], rung), i))
        unknown = rung.of - len(known)
        for i in known[rung.keep :]:
            if not curves[i].failed and i not in patient:
                cut[i] = Stop(checkpoints[rung.position], f"not among the best {rung.keep} of {rung.of}, one in {eta}")
        inside = known[: max(0, rung.keep - unknown)]
        for i in inside:
            limits[i] = rungs[number + 1].position if number + 1 < len(rungs) else last
    return limits, cut


def _value_at(curve: _Curve, rung: Rung) -> float:
    """Return the best value up to a rung; a failed candidate's is the least."""
    if curve.failed and len(curve.values) <= rung.position + 1:
        return _FAILED
    return max(curve.values[: rung.position + 1])


def _stop(curve: _Curve, checkpoints: Sequence[Checkpoint], patience: int | None) -> Stop | None:
    """Return the first checkpoint after so many scores in a row no better than the best before them; None without."""
    if patience is None or curve.failed:
        return None
    best = 0
    for number, value in enumerate(curve.values[: len(checkpoints) - 1]):
        if value > curve.values[best]:
            best = number
        elif number - best >= patience:
            reason = f"no better for {patience} scores than after sweep {checkpoints[best].sweep}"
            return Stop(checkpoints[number], reason)
    return None
