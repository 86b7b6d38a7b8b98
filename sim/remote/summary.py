"""A run's figures: counts by listener, means with standard errors, a table for people and a document for programs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from rich.table import Table

from looplib.arrays import BoolArray, FloatArray, IntArray
from sim.errors import RemoteError

Arms = dict[tuple[str, str], BoolArray]  # (listeners,) of each experiment's arm; empty if the service tells none


@dataclass(frozen=True)
class Mean:
    """A mean over sessions, with listeners as the units that are drawn."""

    mean: float  # NaN without sessions
    standard_error: float  # NaN with less than two listeners

    def __str__(self) -> str:
        """Return `mean ± standard error`."""
        return f"{self.mean:.3f} ± {self.standard_error:.3f}"


@dataclass(frozen=True)
class Outcome:
    """Figures of the sessions of some listeners; organic tracks are included."""

    listeners: int
    sessions: int
    tracks: Mean  # tracks a session
    time: Mean  # listening time a session


@dataclass
class Counts:
    """Sums over whole sessions, by listener, and what happened to the others."""

    sessions: IntArray  # (listeners,) whole ones
    tracks: IntArray  # (listeners,) played in whole sessions
    hundredths: IntArray  # (listeners,) shares heard of these tracks, summed
    failed: Counter[str] = field(default_factory=Counter)  # sessions, by reason
    interrupted: int = 0  # sessions ended early, as the run was
    skipped: int = 0  # sessions never opened, as the listener's earlier one may still be open at the service
    requests: int = 0  # answered
    retries: Counter[str] = field(default_factory=Counter)  # requests sent again, by reason
    error: RemoteError | None = None  # why the run ended before all sessions were through
    was_interrupted: bool = False  # by a signal

    @classmethod
    def empty(cls, listeners: int) -> Self:
        """Return counts of nothing so far."""
        return cls(*np.zeros((3, listeners), dtype=np.int64))

    @property
    def done(self) -> int:
        """The number of sessions that are through, whole or not."""
        return int(self.sessions.sum()) + self.failed.total() + self.interrupted + self.skipped

    def add_sessions(self, listeners: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        """Add a whole session of each of these different listeners."""
        self.sessions[listeners] += 1
        self.tracks[listeners] += tracks
        self.hundredths[listeners] += hundredths

    def add(self, other: "Counts") -> None:
        """Add another process's counts."""
        self.sessions += other.sessions
        self.tracks += other.tracks
        self.hundredths += other.hundredths
        self.failed += other.failed
        self.interrupted += other.interrupted
        self.skipped += other.skipped
        self.requests += other.requests
        self.retries += other.retries
        self.error = self.error or other.error

    def outcome(self, listeners: BoolArray | None = None) -> Outcome:
        """Sum up the sessions of all listeners, or of those where the mask is true."""
        who = self.sessions > 0 if listeners is None else listeners & (self.sessions > 0)
        sessions = self.sessions[who]
        time = ratio_mean(self.hundredths[who] / 100.0, sessions)
        return Outcome(len(sessions), int(sessions.sum()), ratio_mean(self.tracks[who], sessions), time)


@dataclass(frozen=True)
class Day:
    """Results of a day."""

    day: int  # from 1
    seconds: float
    counts: Counts
    arms: Arms


def ratio_mean(sums: FloatArray | IntArray, counts: IntArray) -> Mean:
    """Return the mean of what was drawn in clusters, from the sum and number of each, with its standard error.

    The mean is R = sum(sums) / sum(counts); its variance n / (n - 1) * sum((sums - R counts)²) / sum(counts)², over n
    clusters (Cochran, Sampling Techniques, 3rd ed., 2.11).
    """
    clusters, total = len(counts), float(counts.sum())
    mean = float(sums.sum()) / total if total else float("nan")
    if clusters < 2 or not total:
        return Mean(mean, float("nan"))
    squares = float(((sums - mean * counts) ** 2).sum())
    return Mean(mean, float(np.sqrt(clusters / (clusters - 1) * squares)) / total)


def day_table(day: Day) -> Table:
    """Make a table of sessions, and means a session with standard errors: of all, and of each arm."""
    whole = day.counts.outcome()
    table = Table(title=f"Day {day.day}: {whole.sessions:,} sessions, {whole.sessions / day.seconds:,.0f} a second")
    for column in ("experiment", "arm", "listeners", "sessions", "tracks a session", "time a session"):
        table.add_column(column, justify="left" if column in {"experiment", "arm"} else "right")
    outcomes = {("", "all"): whole, **{arm: day.counts.outcome(mask) for arm, mask in day.arms.items()}}
    for arm, found in outcomes.items():
        table.add_row(*arm, f"{found.listeners:,}", f"{found.sessions:,}", str(found.tracks), str(found.time))
    return table


def day_notes(day: Day) -> list[str]:
    """Return lines about what did not go as it should, and about arms that are not known."""
    counts = day.counts
    notes = [f"{count:,} sessions failed: {reason}" for reason, count in counts.failed.most_common()]
    if counts.skipped:
        notes.append(f"{counts.skipped:,} sessions skipped: an earlier one of the listener may still be open")
    if counts.interrupted:
        notes.append(f"{counts.interrupted:,} sessions ended early and not counted")
    notes += [f"{count:,} requests sent again: {reason}" for reason, count in counts.retries.most_common()]
    return notes if day.arms else [*notes, "the service does not tell its arms"]


def day_document(day: Day) -> dict[str, object]:
    """Return a day of the summary file; orjson writes its means, NaN as null."""
    counts, arms = day.counts, day.arms.items()
    return {
        "day": day.day,
        "seconds": round(day.seconds, 3),
        "ended_early": str(counts.error) if counts.error else "interrupted" if counts.was_interrupted else None,
        **vars(counts.outcome()),
        "arms": [{"experiment": name, "arm": arm, **vars(counts.outcome(mask))} for (name, arm), mask in arms],
        "failed": dict(sorted(counts.failed.items())),
        "skipped": counts.skipped,
        "interrupted": counts.interrupted,
        "requests": counts.requests,
        "retries": dict(sorted(counts.retries.items())),
    }
