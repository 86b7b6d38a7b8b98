"""What a file seems to hold, as `listening_loop.init.look` finds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.tables.columns import Columns, Reading
from listening_loop.init.guess import is_time_heard

EVENT_LOG = Reading(Columns("user", "track", share="time", timestamp="timestamp"))
_REPEATS = 0.05  # share of the rows from which plays count as repeated


@dataclass(frozen=True)
class Guess:
    """The columns of a file by what they seem to hold, and figures of its first rows."""

    reading: Reading
    names: Sequence[str]  # of all columns
    preset: str | None = None  # the published data set that it is
    unused: Sequence[str] = ()  # columns, those that look of use with the reason
    other_dates: str | None = None  # a further form in which its times can be read
    # of `sql/interactions/first_rows.sql`
    rows: int = 0
    left_out: int = 0  # rows for which the condition does not hold
    rejected: int = 0
    why: str | None = None
    median: float | None = None
    spread: float | None = None
    listeners: int = 0
    tracks: int = 0
    titles: int = 0  # of artist and track, distinct
    pairs: int = 0  # of listener and track, distinct
    examples: Sequence[Mapping[str, Any]] = ()  # rows as they are read

    @property
    def is_log(self) -> bool:
        """Whether it is an event log, whose rows are not looked at."""
        return self.reading is EVENT_LOG

    @property
    def taken(self) -> str | None:
        """What the rows that are taken have in common; None of all."""
        events = self.reading.columns.event
        return self.reading.where or (events and f"an event of {events}")

    @property
    def has_seconds(self) -> bool:
        """Whether the weights are the time that was heard."""
        return is_time_heard(self.reading.columns.weight or "")

    @property
    def has_sessions(self) -> bool:
        """Whether it has times, or positions."""
        columns = self.reading.columns
        return bool(columns.timestamp or columns.position)

    @property
    def is_ordered(self) -> bool:
        """Whether the plays of a listener have an order."""
        return self.has_sessions or self.reading.columns.has_share

    @property
    def can_replay(self) -> bool:
        """Whether the newest plays can be told from older ones."""
        columns = self.reading.columns
        return bool(columns.timestamp) or columns.orders_by_position

    @property
    def repeated(self) -> float:
        """Share of the rows that repeat a pair."""
        return 1 - self.pairs / (self.rows - self.rejected) if self.pairs else 0.0

    @property
    def is_heard_again(self) -> bool:
        """Whether listeners repeat tracks, which is assumed of an event log."""
        return self.is_log or self.repeated >= _REPEATS
