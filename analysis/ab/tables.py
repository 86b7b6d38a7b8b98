"""From events to one row a listener and arm: the tables that everything else is computed from.

`load` reads logs or stores into a DuckDB connection, events split into slices by listener, so that however long the
log, only a slice is ordered at a time. `tabulate` makes of them

- `sessions`: one row a session, closed or not (`sql/ab/sessions.sql`);
- `listeners`, `listener_days`: one row a listener and arm, and for each of their days (`sql/ab/listener_sums.sql`);
- `positions` and `latencies`: counts by arm, in parts that are to be added up;
- `overlapping`: listeners with two sessions at the same time.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab import source
from analysis.ab.metrics import WITH_PAST
from analysis.ab.source import ReadLines
from analysis.logs.reader import canonical_assignments
from looplib.arrays import FloatArray
from looplib.progress import progress

EVERYBODY = ""  # the arm of all listeners where no experiment is asked for
MEMORY = "1GB"
GROUPS = 100
_EVENTS_OF_A_SLICE = 2_000_000


@dataclass(frozen=True)
class Loaded:
    """Events in a DuckDB connection, by slice."""

    connection: queries.Connection  # holds the tables
    slices: tuple[str, ...]  # the tables of assigned events, one a slice of the listeners
    arms: tuple[str, ...]  # the arms that events name for the experiment, sorted
    experiments: tuple[str, ...]  # all experiments that events name, sorted
    recommenders: Mapping[tuple[str, str], int]  # requests answered, by arm and recommender
    start_ms: int | None  # the first event in the experiment; None if nobody is in it
    lines: ReadLines  # counts of the lines, and the first rejected ones
    names: tuple[str, ...]  # the logs and stores

    def each_slice(self) -> Iterator[queries.Connection]:
        """Make each slice in turn readable as the table `assigned`."""
        for table in self.slices:
            queries.alias(self.connection, "assigned", table)
            yield self.connection


@contextmanager
def load(
    paths: Sequence[str | Path], experiment: str | None = None, *, memory: str = MEMORY, table_only: bool = False
) -> Iterator[Loaded]:
    """Read logs and stores; the tables live as long as the block.

    Args:
        paths: Files, folders and patterns of logs, and folders of session stores.
        experiment: Whose arms are wanted; None puts all events into one arm, `EVERYBODY`.
        memory: What DuckDB may use before it spills to the disk.
        table_only: Read only what the original table needs; `tabulate_original` follows instead of `tabulate`.

    Raises:
        EventLogError: A path cannot be read.
    """
    found = source.find(paths)
    with tempfile.TemporaryDirectory(prefix="ab-") as folder:
        scratch = Path(folder)
        connection = queries.connect(memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False)
        slices = 1 if table_only else -(-max(1, found.events) // _EVENTS_OF_A_SLICE)
        loader = _Loader(connection, experiment, slices=slices, whole=not table_only)
        with progress("read", found.megabytes, "MB") as report:
            lines = source.read(connection, found, loader.consume, loader.keep, scratch=scratch, report=report)
        try:
            yield Loaded(
                connection,
                loader.tables,
                tuple(sorted(loader.arms)),
                tuple(sorted(loader.experiments)),
                loader.recommenders,
                min(loader.starts_ms, default=None),
                lines,
                found.names,
            )
        finally:
            connection.close()


def listeners_of(paths: Sequence[str | Path], experiment: str, arm: str) -> list[int]:
    """Return the listeners of an arm, ascending; paths as for `load`.

    Raises:
        EventLogError: A path cannot be read.
    """
    with load(paths, experiment, table_only=True) as loaded:
        tabulate_original(loaded)
        users: list[int] = queries.fetch_table(loaded.connection, "ab/arm_listeners", arm=arm)["user"].to_pylist()
        return users


def tabulate(
    loaded: Loaded, *, skip_below: float, recommenders: Mapping[str, str] | None = None, positions: int = 30
) -> None:
    """Make the tables of the module's docstring.

    Args:
        loaded: The events.
        skip_below: A recommended track that is heard for less was skipped, share of the track.
        recommenders: Each arm's own recommender; of an arm that is not named, the one that answered most.
        positions: The last position in a session that is counted.
    """
    # Of an arm's recommenders the last one stays: that of most requests, of equal ones the first by name.
    by_requests = sorted(sorted(loaded.recommenders, reverse=True), key=lambda pair: loaded.recommenders[pair])
    own = dict(by_requests) | dict(recommenders or {})
    _attach(loaded.connection, "own_recommenders", {"arm": list(own), "own": list(own.values())})
    for connection in loaded.each_slice():
        queries.drop(connection, "session_events")
        queries.materialize(connection, "session_events", "ab/session_events")
        queries.append(connection, "sessions", "ab/sessions", skip_below=skip_below)
        queries.append(connection, "positions", "ab/positions", deepest=positions)
        queries.append(connection, "latencies", "ab/latencies", groups=GROUPS)
        queries.append(connection, "overlapping", "ab/overlapping")
    start_ms = loaded.start_ms or 0
    queries.materialize(loaded.connection, "listeners", "ab/listener_sums", by_day=False, start_ms=start_ms)
    queries.materialize(loaded.connection, "listener_days", "ab/listener_sums", by_day=True, start_ms=0)


def tabulate_original(loaded: Loaded) -> None:
    """Make the table `listeners` with only the columns of the original table (`sql/ab/original_listeners.sql`)."""
    for connection in loaded.each_slice():
        queries.append(connection, "listeners", "ab/original_listeners")


def read_listeners(connection: queries.Connection, arm: str) -> dict[str, FloatArray]:
    """Return the columns of an arm's listeners, by listener, and those of their past as `past_…`, 0 without one.

    Returns:
        Column → values, each of shape (listeners,).
    """
    own, past = (queries.fetch_table(connection, "ab/arm_listeners", arm=side) for side in (arm, None))
    columns = {name: own[name].to_numpy().astype(np.float64) for name in own.column_names if name != "user"}
    users, past_users = (side["user"].to_numpy() for side in (own, past))
    _, rows, past_rows = np.intersect1d(users, past_users, assume_unique=True, return_indices=True)
    for name in WITH_PAST.intersection(past.column_names):
        columns[f"past_{name}"] = np.zeros(own.num_rows)
        columns[f"past_{name}"][rows] = past[name].to_numpy()[past_rows]
    return columns


class _Loader:
    """Takes events batch by batch, finds the arm of each, and splits them by listener."""

    def __init__(self, connection: queries.Connection, experiment: str | None, *, slices: int, whole: bool) -> None:
        self.arms: set[str] = set()
        self.experiments: set[str] = set()
        self.recommenders: Counter[tuple[str, str]] = Counter()
        self.starts_ms: list[int] = []
        self.tables = tuple(f"assigned_{number}" for number in range(slices))
        self._connection = connection
        self._experiment = experiment
        self._whole = whole
        self._summary: list[dict[str, Any]] = []

    def consume(self, _: int) -> int:
        """Make the table `batch` of the table `events`, and return the number of its events.

        Raises:
            DatabaseError: A line is odd.
            OddLineError: Experiments are not an object of strings.
        """
        queries.drop(self._connection, "batch")
        queries.materialize(self._connection, "batch", "ab/batch_events", whole=self._whole)
        self._summary = queries.fetch_table(self._connection, "ab/batch_summary").to_pylist()
        for row in self._summary:
            text = row["experiments"]
            row["named"] = {} if text is None else _decode(canonical_assignments(text))
        return sum(row["events"] for row in self._summary)

    def keep(self) -> None:
        """Split the table `batch` into the slices."""
        arms = {}
        for row in self._summary:
            self.experiments |= row["named"].keys()
            arm = EVERYBODY if self._experiment is None else row["named"].get(self._experiment)
            if arm is not None:
                arms[row["experiments"]] = arm
                self.starts_ms.append(row["start_ms"])
                if row["recommender"] is not None and row["requests"]:
                    self.recommenders[arm, row["recommender"]] += row["requests"]
        self.arms |= set(arms.values())
        _attach(self._connection, "arms", {"experiments": list(arms), "arm": list(arms.values())})
        for number, table in enumerate(self.tables):
            queries.append(self._connection, table, "ab/assigned", slice=number, slices=len(self.tables))
        queries.drop(self._connection, "batch")


_decode = msgspec.json.Decoder(dict[str, str]).decode


def _attach(connection: queries.Connection, table: str, columns: Mapping[str, Sequence[str | None]]) -> None:
    """Make columns of text readable under a table's name."""
    schema = pa.schema({name: pa.string() for name in columns})
    queries.attach_arrow(connection, table, pa.table(dict(columns), schema=schema))
