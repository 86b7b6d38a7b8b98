"""What a search does next: which fits go on to which checkpoint, and which are stopped.

A pure function of what is known, so a search that is run again after a crash goes on where it was, and nothing depends
on the order in which results come.

Successive halving (Jamieson and Talwalkar, AISTATS 2016) with the asynchrony of ASHA (Li et al., MLSys 2020) where it
cannot change the outcome: the size of every rung is known beforehand, so a candidate is promoted as soon as the results
still missing could not push it out, and stopped as soon as enough others are better. ASHA promotes on what has come so
far, so that its winner depends on the speed of the workers; this one's does not.

A candidate with several seeds is scored by their mean, and takes its next step when all of them have taken the last.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.config import Search
from recsys.runs.ledger import Scores, Stop, failure_of, score_after
from recsys.runs.trials import Candidate, Trial

_FAILED = -math.inf
Step = tuple[Trial, int]  # a trial, and the sweep after which it is scored next


@dataclass(frozen=True)
class Decisions:
    """What follows from what is known; candidates go by the id of their first trial."""

    steps: tuple[Step, ...]  # all that can be done now, the most urgent first
    stopped: dict[str, Stop]  # candidates that were stopped early
    done: frozenset[str]  # candidates that take no further step


@dataclass(frozen=True)
class _Curve:
    """A candidate's scores so far."""

    values: tuple[float, ...]  # means over the seeds, at the first scored sweeps; the last is -inf where a seed failed
    missing: tuple[Step, ...] = ()  # to the next scored sweep

    @property
    def failed(self) -> bool:
        return _FAILED in self.values

    def best(self, position: int) -> float:
        """Return the best value up to a scored sweep; a failed candidate's is the least."""
        values = self.values[: position + 1]
        return _FAILED if _FAILED in values else max(values)


def decide(search: Search, candidates: Sequence[Candidate], scores: Scores, metric: str) -> Decisions:
    """Decide what to do next, given the planned candidates, what is known of their trials, and the choosing metric."""
    sweeps = search.scored_sweeps
    curves = [_curve_of(candidate, sweeps, scores, metric) for candidate in candidates]
    limits, stopped = _cut(search, curves)
    over = {number for number, curve in enumerate(curves) if curve.failed or len(curve.values) == len(sweeps)}
    over |= stopped.keys()
    going = [n for n, curve in enumerate(curves) if n not in over and len(curve.values) <= limits[n]]
    going.sort(key=lambda number: -len(curves[number].values))
    return Decisions(
        steps=tuple(step for number in going for step in curves[number].missing),
        stopped={candidates[number][0].id: stop for number, stop in stopped.items()},
        done=frozenset(candidates[number][0].id for number in over),
    )


def _curve_of(candidate: Candidate, sweeps: Sequence[int], scores: Scores, metric: str) -> _Curve:
    """Return a candidate's mean scores after the first scored sweeps, as far as all its seeds have come."""
    values: list[float] = []
    for sweep in sweeps:
        found = {trial: score_after(scores[trial.id], sweep) for trial in candidate}
        failed = {trial for trial in candidate if found[trial] is None and failure_of(scores[trial.id])}
        if missing := [trial for trial in candidate if found[trial] is None and trial not in failed]:
            return _Curve(tuple(values), tuple((trial, sweep) for trial in missing))
        if failed:
            return _Curve((*values, _FAILED))
        values.append(float(np.mean([score.metrics[metric][0] for score in found.values() if score])))
    return _Curve(tuple(values))


def _cut(search: Search, curves: Sequence[_Curve]) -> tuple[list[int], dict[int, Stop]]:
    """Return how far each candidate may go, as the position of a scored sweep, and which are cut."""
    sweeps, eta = search.scored_sweeps, search.halving.eta
    positions = [*map(sweeps.index, search.rungs), len(sweeps) - 1]
    limits = [positions[0]] * len(curves)
    cut: dict[int, Stop] = {}
    inside, size = list(range(len(curves))), len(curves)
    for position, limit in itertools.pairwise(positions):
        keep = -(-size // eta)
        known = [i for i in inside if len(curves[i].values) > position or curves[i].failed]
        known.sort(key=lambda i: (-curves[i].best(position), i))
        for i in known[keep:]:
            if not curves[i].failed:
                cut[i] = Stop(sweeps[position], f"not among the best {keep} of {size}, one in {eta}")
        unknown = size - len(known)
        inside, size = known[: max(0, keep - unknown)], keep
        for i in inside:
            limits[i] = limit
    return limits, cut
