"""Decide what a search does next: which fits go on to which checkpoint, and which are stopped.

A pure function of what is known, so a search that is run again after a crash goes on where it was,
and nothing depends on the order in which results come.

Successive halving (Jamieson and Talwalkar, AISTATS 2016) with the asynchrony of ASHA (Li et al.,
MLSys 2020) where it cannot change the outcome: the size of every rung is known beforehand, so a
candidate is promoted as soon as the results still missing could not push it out, and stopped as
soon as enough others are better. ASHA promotes on what has come so far, so that its winner depends
on the speed of the workers; this one's does not.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from recsys.config import Search
from recsys.runs.ledger import Score, Scores, Stop, failure_of
from recsys.runs.trials import Trial

_FAILED = -math.inf
Step = tuple[Trial, int]  # a trial, and the sweep after which it is scored next


@dataclass(frozen=True)
class Decisions:
    """What follows from what is known; candidates go by their id."""

    steps: tuple[Step, ...]  # all that can be done now, the most urgent first
    stopped: dict[str, Stop]  # candidates that were stopped early
    done: frozenset[str]  # candidates that take no further step


def decide(
    search: Search, candidates: Sequence[Trial], scores: Scores, metric: str
) -> Decisions:
    """Decide what to do next, given what is known of the candidates."""
    sweeps = search.scored_sweeps
    curves = [_curve(scores[candidate.id], sweeps, metric) for candidate in candidates]
    limits, stopped = _cut(search, curves)
    over = set(stopped)
    going = []
    for number, curve in enumerate(curves):
        if _FAILED in curve or len(curve) == len(sweeps):
            over.add(number)
        elif number not in over and len(curve) <= limits[number]:
            going.append(number)
    going.sort(key=lambda number: -len(curves[number]))
    return Decisions(
        steps=tuple(
            (candidates[number], sweeps[len(curves[number])]) for number in going
        ),
        stopped={candidates[number].id: stop for number, stop in stopped.items()},
        done=frozenset(candidates[number].id for number in over),
    )


def _curve(
    scores: tuple[Score, ...], sweeps: Sequence[int], metric: str
) -> list[float]:
    """Return a candidate's values at the scored sweeps so far; the last is -inf where it failed."""
    by_sweep = {score.sweep: score for score in scores if score.error is None}
    values: list[float] = []
    for sweep in sweeps:
        if sweep not in by_sweep:
            return [*values, _FAILED] if failure_of(scores) else values
        values.append(by_sweep[sweep].metrics[metric][0])
    return values


def _cut(
    search: Search, curves: Sequence[list[float]]
) -> tuple[list[int], dict[int, Stop]]:
    """Return the scored sweep, by position, to which each candidate may go, and which are cut."""
    sweeps, eta = search.scored_sweeps, search.halving.eta
    positions = [*map(sweeps.index, search.rungs), len(sweeps) - 1]
    limits = [positions[0]] * len(curves)
    cut: dict[int, Stop] = {}
    inside = list(range(len(curves)))
    size = len(curves)
    for position, limit in itertools.pairwise(positions):
        keep = -(-size // eta)
        known = [
            number
            for number in inside
            if len(curves[number]) > position or _FAILED in curves[number]
        ]
        known.sort(key=lambda number: (-_best(curves[number][: position + 1]), number))
        for number in known[keep:]:
            if _FAILED not in curves[number]:
                reason = f"not among the best {keep} of {size}, one in {eta}"
                cut[number] = Stop(sweeps[position], reason)
        unknown = size - len(known)
        inside = known[: max(0, keep - unknown)]
        size = keep
        for number in inside:
            limits[number] = limit
    return limits, cut


def _best(values: list[float]) -> float:
    return _FAILED if _FAILED in values else max(values)
