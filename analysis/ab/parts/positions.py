"""How long tracks are heard by their position in the session."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from analysis import queries

_EXACT = 2**80  # parts of a track in which the table counts listening time


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
    """Average the listening time by arm and position, from the parts of the table `positions`."""
    events: Counter[tuple[str, int]] = Counter()
    times: Counter[tuple[str, int]] = Counter()
    for row in queries.read_table(connection, "positions").to_pylist():
        place = row["arm"], row["position"]
        events[place] += row["events"]
        times[place] += int(row["time"])
    found = []
    for arm, position in sorted(events):
        count = events[arm, position]
        mean_time = times[arm, position] / _EXACT / count
        found.append(Position(arm, position, count, mean_time))
    return tuple(sorted(found, key=lambda row: arms.index(row.arm)))
