"""A run's figures: counts by listener, means with standard errors, lines for people and a document for programs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.errors import SimError


@dataclass(frozen=True)
class Mean:
    """A mean over sessions, with listeners as the units that are drawn."""

    mean: float  # NaN without sessions
    standard_error: float  # NaN with less than two listeners

    def __str__(self) -> str:
        """Return `mean ± standard error`."""
        return f"{self.mean:.3f} ± {self.standard_error:.3f}"


@dataclass
class Counts:
    """Sums over whole sessions, by listener, and what happened to the others."""

    sessions: IntArray  # (listeners,) whole ones
    tracks: IntArray  # (listeners,) played in whole sessions
    hundredths: IntArray  # (listeners,) shares heard of these tracks, summed
    failed: Counter[str] = field(default_factory=Counter)  # sessions, by reason
    interrupted: int = 0  # sessions ended early, as the run was
    # sessions never opened, as the listener's earlier one may still be open at the service
    skipped: int = 0
    requests: int = 0  # answered
    retries: Counter[str] = field(
        default_factory=Counter
    )  # requests sent again, by reason
    error: SimError | None = None  # why the run ended before all sessions were through
    was_interrupted: bool = False  # by a signal

    @classmethod
    def empty(cls, listeners: int) -> Self:
        """Return counts of nothing so far."""
        return cls(*np.zeros((3, listeners), dtype=np.int64))

    @property
    def done(self) -> int:
        """The number of sessions that are through, whole or not."""
        return (
            int(self.sessions.sum())
            + self.failed.total()
            + self.interrupted
            + self.skipped
        )

    def add_sessions(
        self, listeners: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> None:
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

    def means(self) -> tuple[Mean, Mean]:
        """Return the tracks and the listening time of a whole session, organic tracks included."""
        heard = self.sessions > 0
        sessions = self.sessions[heard]
        return ratio_mean(self.tracks[heard], sessions), ratio_mean(
            self.hundredths[heard] / 100.0, sessions
        )


def ratio_mean(sums: FloatArray | IntArray, counts: IntArray) -> Mean:
    """Return the mean of what was drawn in clusters, from the sum and number of each, with its standard error.

    The mean is R = sum(sums) / sum(counts); its variance n / (n - 1) * sum((sums - R counts)²) /
    sum(counts)², over n clusters (Cochran, Sampling Techniques, 3rd ed., 2.11).
    """
    clusters, total = len(counts), float(counts.sum())
    mean = float(sums.sum()) / total if total else float("nan")
    if clusters < 2 or not total:
        return Mean(mean, float("nan"))
    squares = float(((sums - mean * counts) ** 2).sum())
    return Mean(mean, float(np.sqrt(clusters / (clusters - 1) * squares)) / total)


def describe_day(day: int, seconds: float, counts: Counts) -> list[str]:
    """Return lines for people about a day: what was heard, and what did not go as it should."""
    tracks, time = counts.means()
    sessions, listeners = int(counts.sessions.sum()), np.count_nonzero(counts.sessions)
    heard = (
        f"tracks a session {tracks}, listening time {time}"
        if sessions
        else "nothing was heard"
    )
    lines = [
        f"day {day}: {sessions:,} sessions of {listeners:,} listeners, {sessions / seconds:,.0f} a second; {heard}"
    ]
    lines += [
        f"{count:,} sessions failed: {reason}"
        for reason, count in counts.failed.most_common()
    ]
    if counts.skipped:
        lines.append(
            f"{counts.skipped:,} sessions skipped: an earlier one of the listener may still be open"
        )
    if counts.interrupted:
        lines.append(f"{counts.interrupted:,} sessions ended early and not counted")
    return lines + [
        f"{count:,} requests sent again: {reason}"
        for reason, count in counts.retries.most_common()
    ]


def day_document(day: int, seconds: float, counts: Counts) -> dict[str, object]:
    """Return a day of the summary file; orjson writes its means, NaN as null."""
    tracks, time = counts.means()
    return {
        "day": day,
        "seconds": round(seconds, 3),
        "ended_early": str(counts.error)
        if counts.error
        else "interrupted"
        if counts.was_interrupted
        else None,
        "listeners": int(np.count_nonzero(counts.sessions)),
        "sessions": int(counts.sessions.sum()),
        "tracks": tracks,
        "time": time,
        "failed": dict(sorted(counts.failed.items())),
        "skipped": counts.skipped,
        "interrupted": counts.interrupted,
        "requests": counts.requests,
        "retries": dict(sorted(counts.retries.items())),
    }
