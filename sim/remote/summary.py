"""What a run's listeners heard: counts by listener, and means with standard errors."""

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
    interrupted: int = 0  # sessions ended early, as the run was
    requests: int = 0  # answered
    # requests sent again, by reason
    retries: Counter[str] = field(default_factory=Counter)
    error: SimError | None = None  # why the run ended before all sessions were through
    was_interrupted: bool = False  # by a signal

    @classmethod
    def empty(cls, listeners: int) -> Self:
        """Return counts of nothing so far."""
        return cls(*np.zeros((3, listeners), dtype=np.int64))

    @property
    def done(self) -> int:
        """The number of sessions that are through, whole or not."""
        return int(self.sessions.sum()) + self.interrupted

    def add_sessions(
        self, listeners: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> None:
        """Add a whole session of each of these different listeners."""
        self.sessions[listeners] += 1
        self.tracks[listeners] += tracks
        self.hundredths[listeners] += hundredths

    def mean_tracks(self) -> Mean:
        """Return the tracks of a whole session, the organic one included."""
        return ratio_mean(self.tracks, self.sessions)

    def mean_time(self) -> Mean:
        """Return the listening time of a whole session, the organic track included."""
        return ratio_mean(self.hundredths / 100.0, self.sessions)

    def lines(self, seconds: float) -> list[str]:
        """Return lines for people: what was heard, and what did not go as it should."""
        sessions = int(self.sessions.sum())
        listeners = np.count_nonzero(self.sessions)
        heard = "nothing was heard"
        if sessions:
            heard = (
                f"tracks a session {self.mean_tracks()}, "
                f"listening time {self.mean_time()}"
            )
        lines = [
            f"{sessions:,} sessions of {listeners:,} listeners, "
            f"{sessions / seconds:,.0f} a second; {heard}"
        ]
        if self.interrupted:
            lines.append(f"{self.interrupted:,} sessions ended early and not counted")
        for reason, count in self.retries.most_common():
            lines.append(f"{count:,} requests sent again: {reason}")
        return lines

    def document(self, seconds: float) -> dict[str, object]:
        """Return the counts for the summary file; orjson writes means, NaN as null."""
        ended_early = "interrupted" if self.was_interrupted else None
        return {
            "seconds": round(seconds, 3),
            "ended_early": str(self.error) if self.error else ended_early,
            "listeners": int(np.count_nonzero(self.sessions)),
            "sessions": int(self.sessions.sum()),
            "tracks": self.mean_tracks(),
            "time": self.mean_time(),
            "interrupted": self.interrupted,
            "requests": self.requests,
            "retries": dict(sorted(self.retries.items())),
        }


def ratio_mean(sums: FloatArray | IntArray, counts: IntArray) -> Mean:
    """Return the mean of what was drawn in clusters, from the sum and number of each.

    The mean is R = sum(sums) / sum(counts); its variance n / (n - 1) * sum((sums - R counts)²) /
    sum(counts)², over the n clusters that are not empty (Cochran, Sampling Techniques, 3rd ed.,
    2.11).
    """
    clusters = np.count_nonzero(counts)
    total = float(counts.sum())
    if not clusters:
        return Mean(float("nan"), float("nan"))
    mean = float(sums.sum()) / total
    if clusters == 1:
        return Mean(mean, float("nan"))
    squares = float(((sums - mean * counts) ** 2).sum())
    return Mean(mean, float(np.sqrt(clusters / (clusters - 1) * squares)) / total)
