"""How sessions are spread, and how listening falls with the position in them."""

from collections.abc import Sequence

from analysis import queries
from analysis.ab.report import Distribution, Position

_TRACK_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)
_TIME_EDGES = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 75, 100, 200, 500)


def distributions(connection: queries.Connection, arms: Sequence[str]) -> tuple[Distribution, ...]:
    """Tracks and listening time of a session, by arm; bins after the last that anybody reaches are left out."""
    rows = queries.fetch_table(connection, "ab/session_quantiles").to_pylist()
    return tuple(
        _distribution(connection, what, label, edges, arms, {row["arm"]: tuple(row[what]) for row in rows})
        for what, label, edges in (
            ("tracks", "tracks of a session", _TRACK_EDGES),
            ("time", "listening time of a session, tracks", _TIME_EDGES),
        )
    )


def positions(connection: queries.Connection, arms: Sequence[str]) -> tuple[Position, ...]:
    """Listening time by arm and position in the session."""
    rows = queries.fetch_table(connection, "ab/total_positions").to_pylist()
    return tuple(Position(**row) for arm in arms for row in rows if row["arm"] == arm)


def _distribution(
    connection: queries.Connection,
    what: str,
    label: str,
    edges: Sequence[float],
    arms: Sequence[str],
    quantiles: dict[str, tuple[float, ...]],
) -> Distribution:
    found = queries.fetch_table(connection, "ab/distribution", what=what, edges=[float(edge) for edge in edges])
    counts = {(row["arm"], row["bin"]): row["sessions"] for row in found.to_pylist()}
    totals = {arm: sum(count for (of, _), count in counts.items() if of == arm) for arm in arms}
    last = max((number for _, number in counts), default=0)
    shares = {
        arm: tuple(counts.get((arm, number), 0) / totals[arm] if totals[arm] else 0.0 for number in range(1, last + 1))
        for arm in arms
    }
    kept = {arm: quantiles.get(arm, ()) for arm in arms}
    return Distribution(label, tuple(float(edge) for edge in edges[:last]), shares, kept)
