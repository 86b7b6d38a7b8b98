"""What was heard, summed by listener, and why sessions failed; sums of several processes can be added."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from looplib.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Mean:
    """A mean over sessions.

    Attributes:
        mean: Of the sessions; NaN without any.
        standard_error: Of the mean, with listeners as the units that are drawn; NaN with less than two of them.
    """

    mean: float
    standard_error: float


@dataclass(frozen=True)
class Outcome:
    """What the sessions of some listeners came to; the organic tracks are included."""

    listeners: int
    sessions: int
    tracks: Mean  # tracks a session
    time: Mean  # listening time a session


@dataclass
class Tally:
    """Sums over whole sessions, by listener.

    Attributes:
        sessions: (listeners,) whole sessions.
        tracks: (listeners,) tracks played in them.
        hundredths: (listeners,) shares heard of them, summed, in hundredths.
        satisfaction: (listeners,) mean share heard of the recommended tracks of the last one; NaN without any.
        failed: Sessions that failed, by reason.
        interrupted: Sessions that were ended early, as the run was.
        skipped: Sessions that were never opened, as an earlier one of the listener may still be open at the service.
        absent: Sessions that never were, as their listeners did not come on that day.
        requests: Requests that were answered.
        retries: Requests tried again, by reason.
    """

    sessions: IntArray
    tracks: IntArray
    hundredths: IntArray
    satisfaction: FloatArray
    failed: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    skipped: int = 0
    absent: int = 0
    requests: int = 0
    retries: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, listeners: int) -> Self:
        """Nothing so far, of so many listeners."""
        sessions, tracks, hundredths = np.zeros((3, listeners), dtype=np.int64)
        return cls(sessions, tracks, hundredths, np.full(listeners, np.nan))

    @property
    def done(self) -> int:
        """Sessions that are through, whole or not."""
        return int(self.sessions.sum()) + self.failed.total() + self.interrupted + self.skipped + self.absent

    def add_sessions(self, listeners: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        """Adds a whole session of each of these different listeners."""
        self.sessions[listeners] += 1
        self.tracks[listeners] += tracks
        self.hundredths[listeners] += hundredths
        self.satisfaction[listeners] = (hundredths - 100) / np.maximum(100 * (tracks - 1), 1)

    def add(self, other: "Tally") -> None:
        """Adds another process's sums, which are of other listeners."""
        self.satisfaction = np.where(other.sessions > 0, other.satisfaction, self.satisfaction)
        self.sessions += other.sessions
        self.tracks += other.tracks
        self.hundredths += other.hundredths
        self.failed += other.failed
        self.interrupted += other.interrupted
        self.skipped += other.skipped
        self.absent += other.absent
        self.requests += other.requests
        self.retries += other.retries

    def outcome(self, listeners: BoolArray | None = None) -> Outcome:
        """What the sessions of all listeners came to, or of those where the mask is true."""
        who = self.sessions > 0 if listeners is None else listeners & (self.sessions > 0)
        sessions = self.sessions[who]
        return Outcome(
            listeners=len(sessions),
            sessions=int(sessions.sum()),
            tracks=ratio_mean(self.tracks[who], sessions),
            time=ratio_mean(self.hundredths[who] / 100.0, sessions),
        )


def ratio_mean(sums: FloatArray | IntArray, counts: IntArray) -> Mean:
    """The mean of what was drawn in clusters, with its standard error.

    The mean is R = sum(sums) / sum(counts); its variance n / (n - 1) * sum((sums - R counts)²) / sum(counts)², over n
    clusters (Cochran, Sampling Techniques, 3rd ed., 2.11).

    Args:
        sums: Sum of each cluster.
        counts: Number of each cluster.
    """
    clusters, total = len(counts), float(counts.sum())
    if not total:
        return Mean(float("nan"), float("nan"))
    mean = float(sums.sum()) / total
    if clusters < 2:
        return Mean(mean, float("nan"))
    squares = float(((sums - mean * counts) ** 2).sum())
    return Mean(mean, float(np.sqrt(clusters / (clusters - 1) * squares)) / total)
