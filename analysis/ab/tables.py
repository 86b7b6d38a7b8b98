"""From events to one row a listener and arm: the tables that everything else is computed from.

`load` reads logs or stores into a DuckDB connection, events parted into slices by listener, so that however long the
log, only a slice is ordered at a time. `tabulate` makes of them

- `sessions`: one row a session, closed or not (`sql/ab/sessions.sql`);
- `listeners`: one row a listener and arm (`sql/ab/listeners.sql`);
- `listener_days`: one row a listener, arm and day (`sql/ab/listener_days.sql`);
- `positions` and `latencies`: counts by arm, in parts that are to be added up.

Rows of the first three are in a fixed order, whatever the order of the lines and files was.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

from analysis import queries
from analysis.ab import source
from analysis.ab.source import ReadLines
from analysis.logs.reader import canonical_assignments
from looplib.progress import progress

EVERYBODY = ""  # the arm of all listeners where no experiment is asked for
MEMORY = "1GB"
GROUPS = 100
_EVENTS_OF_A_SLICE = 2_000_000
_TABLES = ("sessions", "listeners", "listener_days", "positions", "latencies", "overlapping")
_ARMS = pa.schema({"experiments": pa.string(), "arm": pa.string()})
_RECOMMENDERS = pa.schema({"arm": pa.string(), "own": pa.string()})


@dataclass(frozen=True)
class Loaded:
    """Events in a DuckDB connection, by slice.

    Attributes:
        connection: Holds the tables.
        slices: The tables of assigned events, one a slice of the listeners.
        arms: The arms that events name for the experiment, sorted.
        experiments: All experiments that events name, sorted.
        recommenders: Requests answered, by arm and recommender.
        lines: What became of the lines.
        names: The logs and stores.
    """

    connection: queries.Connection
    slices: tuple[str, ...]
    arms: tuple[str, ...]
    experiments: tuple[str, ...]
    recommenders: Mapping[tuple[str, str], int]
    lines: ReadLines
    names: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """What `tabulate` found out on the way.

    Attributes:
        connection: Holds the tables.
        start_ms: The first event in the experiment; None where there is none.
        own_recommenders: Each arm's own recommender, where the log names recommenders.
    """

    connection: queries.Connection
    start_ms: int | None
    own_recommenders: dict[str, str]


@contextmanager
def load(
    places: Sequence[str | Path], experiment: str | None = None, *, memory: str = MEMORY, course_only: bool = False
) -> Iterator[Loaded]:
    """Reads logs and stores; the tables live as long as the block.

    Args:
        places: Files, folders and patterns of logs, and folders of session stores.
        experiment: Whose arms are wanted; None puts all events into one arm, `EVERYBODY`.
        memory: What DuckDB may use before it spills to the disk.
        course_only: Read what the course's table needs alone; `tabulate` cannot follow.

    Raises:
        EventLogError: A place cannot be read.
    """
    found = source.find(places)
    with tempfile.TemporaryDirectory(prefix="ab-") as folder:
        scratch = Path(folder)
        connection = queries.connect(memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False)
        slices = 1 if course_only else -(-max(1, found.events) // _EVENTS_OF_A_SLICE)
        events = "ab/course_events" if course_only else "ab/log_events"
        loader = _Loader(connection, experiment, slices=slices, events=events)
        with progress("read", found.megabytes, "MB") as report:
            lines = source.read(connection, found, loader.consume, loader.keep, scratch=scratch, report=report)
        try:
            yield Loaded(
                connection,
                loader.tables,
                tuple(sorted(loader.arms)),
                tuple(sorted(loader.experiments)),
                loader.recommenders,
                lines,
                found.names,
            )
        finally:
            connection.close()


def listeners_of(places: Sequence[str | Path], experiment: str, arm: str) -> list[int]:
    """The listeners of an arm, ascending; places as for `load`.

    Raises:
        EventLogError: A place cannot be read.
    """
    with load(places, experiment, course_only=True) as loaded:
        (assigned,) = loaded.slices
        queries.alias(loaded.connection, "assigned", assigned)
        found: list[int] = queries.fetch_table(loaded.connection, "ab/arm_listeners", arm=arm)["user"].to_pylist()
        return found


def tabulate(
    loaded: Loaded, *, skip_below: float, recommenders: Mapping[str, str] | None = None, positions: int = 30
) -> Tables:
    """Makes the tables of the module's words.

    Args:
        loaded: The events.
        skip_below: A recommended track that is heard for less was skipped, share of the track.
        recommenders: Each arm's own recommender; of an arm that is not named, the one that answered most.
        positions: The last position in a session that is counted.
    """
    connection = loaded.connection
    own = _own_recommenders(loaded) | dict(recommenders or {})
    rows = [{"arm": arm, "own": name} for arm, name in sorted(own.items())]
    queries.attach_arrow(connection, "own_recommenders", pa.Table.from_pylist(rows, schema=_RECOMMENDERS))
    start_ms = _start(loaded)
    for table in _TABLES:
        queries.drop(connection, table)
    for assigned in loaded.slices:
        queries.alias(connection, "assigned", assigned)
        _tabulate_slice(connection, skip_below=skip_below, positions=positions)
    queries.materialize(connection, "listeners", "ab/listeners", start_ms=start_ms or 0)
    queries.materialize(connection, "listener_days", "ab/listener_days")
    return Tables(connection, start_ms, own)


def course_listeners(loaded: Loaded) -> None:
    """Makes the table `listeners` with the columns of the course's table alone (`sql/ab/course_listeners.sql`)."""
    queries.drop(loaded.connection, "listeners")
    for assigned in loaded.slices:
        queries.alias(loaded.connection, "assigned", assigned)
        queries.append(loaded.connection, "listeners", "ab/course_listeners")


def _tabulate_slice(connection: queries.Connection, *, skip_below: float, positions: int) -> None:
    """Adds the listeners of the slice that is readable as `assigned`."""
    for table in ("session_events", "slice_sessions"):
        queries.drop(connection, table)
    queries.materialize(connection, "session_events", "ab/session_events")
    queries.materialize(connection, "slice_sessions", "ab/sessions", skip_below=skip_below)
    queries.append(connection, "positions", "ab/positions", deepest=positions)
    queries.append(connection, "latencies", "ab/latencies", groups=GROUPS)
    queries.append(connection, "overlapping", "ab/overlapping")
    queries.append(connection, "sessions", "ab/slice_sessions")


def _own_recommenders(loaded: Loaded) -> dict[str, str]:
    """Of each arm the recommender that answered most requests; of equal ones the first by name."""
    counts = loaded.recommenders
    by_name = sorted(counts, reverse=True)
    return dict(sorted(by_name, key=lambda pair: counts[pair]))  # of an arm's pairs the last one stays


def _start(loaded: Loaded) -> int | None:
    starts = []
    for assigned in loaded.slices:
        queries.alias(loaded.connection, "assigned", assigned)
        starts.append(queries.fetch_row(loaded.connection, "ab/first_exposure")["start_ms"])
    return min((start for start in starts if start is not None), default=None)


class _Loader:
    """Takes events batch by batch, finds the arm of each, and parts them by listener."""

    def __init__(self, connection: queries.Connection, experiment: str | None, *, slices: int, events: str) -> None:
        self.arms: set[str] = set()
        self.experiments: set[str] = set()
        self.recommenders: Counter[tuple[str, str]] = Counter()
        self.tables = tuple(f"assigned_{number}" for number in range(slices))
        self._connection = connection
        self._experiment = experiment
        self._events = events
        self._assignments: dict[str | None, dict[str, str]] = {}
        self._texts: list[str | None] = []

    def consume(self, _: int) -> int:
        """Makes the table `batch` of the table `events`.

        Raises:
            DatabaseError: A line is odd.
            OddLineError: Experiments are not an object of strings.
        """
        queries.drop(self._connection, "batch")
        queries.materialize(self._connection, "batch", self._events)
        self._texts = queries.fetch_table(self._connection, "ab/texts")["experiments"].to_pylist()
        for text in self._texts:
            if text not in self._assignments:
                self._assignments[text] = _assignments(text)
        return int(queries.fetch_row(self._connection, "ab/batch_size")["events"])

    def keep(self) -> None:
        """Parts the table `batch` into the slices."""
        queries.attach_arrow(self._connection, "arms", self._arms())
        for row in queries.fetch_table(self._connection, "ab/recommender_counts").to_pylist():
            self.recommenders[row["arm"], row["recommender"]] += row["requests"]
        for number, table in enumerate(self.tables):
            queries.append(self._connection, table, "ab/assigned", slice=number, slices=len(self.tables))
        queries.drop(self._connection, "batch")

    def _arms(self) -> pa.Table:
        """The arm of each text of the batch, where there is one."""
        found: list[dict[str, str | None]] = []
        for text in self._texts:
            assignments = self._assignments[text]
            self.experiments |= assignments.keys()
            arm = EVERYBODY if self._experiment is None else assignments.get(self._experiment)
            if arm is not None:
                self.arms.add(arm)
                found.append({"experiments": text, "arm": arm})
        return pa.Table.from_pylist(found, schema=_ARMS)


def _assignments(text: str | None) -> dict[str, str]:
    return {} if text is None else msgspec.json.decode(canonical_assignments(text), type=dict[str, str])
