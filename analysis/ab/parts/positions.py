"""How long tracks are heard by their position in the session."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis import queries


@dataclass(frozen=True)
class Position:
    """Listening time of the n-th track of a session."""

    arm: str  # the arm
    position: int  # from 1, the organic track
    events: int  # how many there are
    mean_time: float  # mean share of the track that was heard


def positions(
    connection: queries.Connection, arms: Sequence[str]
) -> tuple[Position, ...]:
    """Average the listening time by arm and position."""
    rows = queries.fetch_table(connection, "ab/listening_by_position").to_pylist()
    rows.sort(key=lambda row: arms.index(row["arm"]))
    return tuple(Position(**row) for row in rows)
