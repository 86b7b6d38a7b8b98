"""A run's figures: a table for people and a document for programs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from looplib.arrays import BoolArray
from sim.remote.arms import Assignment
from sim.tally import Mean, Outcome, Tally

SCHEMA = 1


@dataclass(frozen=True)
class ArmOutcome:
    """What the sessions of an arm's listeners came to, and the share of those listeners who came."""

    experiment: str
    arm: str
    outcome: Outcome
    present: float


@dataclass(frozen=True)
class Day:
    """A day's figures.

    Attributes:
        day: From 1.
        all: Of all whole sessions.
        arms: Of those of each arm; empty if the service does not tell arms.
        tally: What the figures are made of.
        seconds: How long it took.
        ended_early: Why it ended before all sessions were through, or None.
        present: Share of the listeners who came.
    """

    day: int
    all: Outcome
    arms: tuple[ArmOutcome, ...]
    tally: Tally
    seconds: float
    ended_early: str | None
    present: float


def summarise(
    day: int,
    tally: Tally,
    assignments: list[Assignment],
    seconds: float,
    ended_early: str | None,
    present: BoolArray | None,
) -> Day:
    """The figures of a day, on which all listeners came or those that are present."""
    arms = tuple(
        ArmOutcome(split.experiment, name, tally.outcome(mask), _share(present, mask))
        for split in assignments
        for name, mask in _masks(split)
    )
    return Day(day, tally.outcome(), arms, tally, seconds, ended_early, _share(present))


def day_table(day: Day) -> Table:
    """Sessions, and means a session with standard errors: of all, and of each arm."""
    table = Table(
        *("experiment", "arm", "came", "listeners", "sessions", "tracks a session", "time a session"),
        title=f"Day {day.day}: {day.all.sessions:,} sessions, {day.all.sessions / day.seconds:,.0f} a second",
    )
    for column in table.columns[2:]:
        column.justify = "right"
    table.add_row("", "all", f"{day.present:.1%}", *_figures(day.all))
    for arm in day.arms:
        table.add_row(arm.experiment, arm.arm, f"{arm.present:.1%}", *_figures(arm.outcome))
    return table


def day_notes(day: Day) -> list[str]:
    """Lines about what did not go as it should, and about arms that are not known."""
    tally = day.tally
    notes = [f"{count:,} sessions failed: {reason}" for reason, count in tally.failed.most_common()]
    if tally.skipped:
        notes.append(f"{tally.skipped:,} sessions skipped: an earlier one of the listener may still be open")
    if tally.interrupted:
        notes.append(f"{tally.interrupted:,} sessions ended early and not counted")
    notes += [f"{count:,} requests tried again: {reason}" for reason, count in tally.retries.most_common()]
    if not day.arms:
        notes.append("the service does not tell its arms")
    return notes


def document(days: list[Day], facts: dict[str, object]) -> dict[str, object]:
    """The summary file: the run's parameters, and each day's figures."""
    return {"schema": SCHEMA, **facts, "days": [_day_document(day) for day in days]}


def _day_document(day: Day) -> dict[str, object]:
    tally = day.tally
    return {
        "day": day.day,
        "seconds": round(day.seconds, 3),
        "ended_early": day.ended_early,
        **_outcome_document(day.all, day.present),
        "arms": [
            {"experiment": arm.experiment, "arm": arm.arm, **_outcome_document(arm.outcome, arm.present)}
            for arm in day.arms
        ],
        "failed": _counts(tally.failed),
        "skipped": tally.skipped,
        "absent": tally.absent,
        "interrupted": tally.interrupted,
        "requests": tally.requests,
        "retries": _counts(tally.retries),
    }


def _outcome_document(outcome: Outcome, present: float) -> dict[str, object]:
    return {
        "present": present,
        "listeners": outcome.listeners,
        "sessions": outcome.sessions,
        "tracks": _mean_document(outcome.tracks),
        "time": _mean_document(outcome.time),
    }


def _mean_document(mean: Mean) -> dict[str, float | None]:
    values = {"mean": mean.mean, "standard_error": mean.standard_error}
    return {key: None if np.isnan(value) else value for key, value in values.items()}


def _counts(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _masks(split: Assignment) -> Iterator[tuple[str, BoolArray]]:
    """Each arm's name and listeners."""
    for index, name in enumerate(split.arms):
        yield name, split.arm == index


def _share(present: BoolArray | None, among: BoolArray | None = None) -> float:
    """The share of some listeners who came."""
    who = present if present is None or among is None else present[among]
    return 1.0 if who is None or not len(who) else float(who.mean())


def _figures(outcome: Outcome) -> tuple[str, ...]:
    return (
        f"{outcome.listeners:,}",
        f"{outcome.sessions:,}",
        f"{outcome.tracks.mean:.3f} ± {outcome.tracks.standard_error:.3f}",
        f"{outcome.time.mean:.3f} ± {outcome.time.standard_error:.3f}",
    )
