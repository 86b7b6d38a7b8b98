"""Read event logs and session stores into Parquet files, one a slice of the listeners.

`load` writes every event with the arm that its listener was in. However long the log, only a slice
is ordered at a time (`measures`). A store has the events that an ingest made of the lines, and
counts of the lines, so logs and their store give the same report.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.errors import AnalysisError, StoreError
from analysis.logs.field_types import EVENT_SCHEMA, with_all_columns
from analysis.logs.files import LogFile, discover
from analysis.logs.lines import LineCounts, Reject
from analysis.logs.reader import ahead, gather, kinds_of, read, read_rejects
from analysis.logs.sources import NewFiles
from analysis.store import MANIFEST, Store, check_files, number_of, open_store
from looplib.arrays import IntArray
from looplib.experiments import Experiment
from looplib.progress import progress

EVERYBODY = ""  # the arm of all listeners where no experiment is asked for
DAY_MS = 86_400_000
_SHOWN_REJECTS = 5
_LONG_AFTER = 2**63 - 1
_EVENTS_OF_A_SLICE = 2_000_000
_EVENTS_AT_ONCE = 100_000
_BYTES_OF_AN_EVENT = 200  # a line of a log; only to guess how many there are
_PACKED = 8  # a gzipped log is about an eighth of its text
_LARGE_ODD = np.int64(0x1E3779B97F4A7C15)
LEFT_OUT = pa.schema({"user": pa.int64()})


@dataclass
class Loaded:
    """The events of a report in Parquet files, and what is known of them."""

    connection: queries.Connection  # its view `assigned` has all events
    logs: list[LogFile]
    stores: list[Store]
    # rows of `sql/ab/assigned_events.sql`; all events of a listener are in one file
    slices: list[Path] = field(default_factory=list)
    lines: LineCounts = field(default_factory=LineCounts)  # of the logs
    rejected: list[Reject] = field(default_factory=list)  # the first ones
    # the texts of listeners' ids by the numbers that stand for them, where a plan is given
    texts: dict[int, str] = field(default_factory=dict)
    experiments: list[str] = field(default_factory=list)  # all that events name
    experiment: str | None = None  # the one whose arms are wanted
    # rows of `sql/ab/arms.sql`, by arm
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    # when the horizon ends, where one was reached; what is later is left out
    end_ms: int = _LONG_AFTER
    progress: float = 0.0  # the share of the declared horizon that is reached
    left_out: int = 0  # the experiment's events after that

    @property
    def names(self) -> tuple[str, ...]:
        """What the stores and logs are called."""
        stores = (str(store.path) for store in self.stores)
        return (*stores, *(log.name for log in self.logs))

    @property
    def start_ms(self) -> int:
        """When the experiment began; 0 for one without events."""
        return min((row["first_ms"] for row in self.arms.values()), default=0)

    def arrivals(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return the days of the experiment since the epoch, and the new listeners and events."""
        rows = queries.fetch_table(self.connection, "ab/arrivals")
        days, listeners, events = (column.to_numpy() for column in rows.columns)
        return days, listeners, events

    def stop_at(self, planned: int) -> None:
        """Leave out what is later than the day by which so many listeners had come, if it came."""
        days, listeners, events = self.arrivals()
        arrived = np.cumsum(listeners)
        self.progress = float(arrived[-1] / planned)
        if self.progress >= 1:
            last = int(days[np.argmax(arrived >= planned)])
            self.end_ms = (last + 1) * DAY_MS
            self.left_out = int(events[days > last].sum())


@contextmanager
def load(
    paths: Sequence[str | Path],
    experiment: str | None = None,
    *,
    plan: Experiment | None = None,
    memory: str = "1GB",
) -> Iterator[Loaded]:
    """Read logs and stores, and put listeners into their arms.

    Args:
        paths: Files, folders and patterns of logs, and folders of session stores.
        experiment: Whose arms are wanted, "" of the only one; None puts all events into one arm,
            `EVERYBODY`.
        plan: The experiment's file; testers, and listeners whom its changes moved, are left out.
        memory: What DuckDB may use before it spills to the disk.

    Raises:
        AnalysisError: As of `load_events`, or it is not said which of several experiments is meant.
    """
    with load_events(paths, plan=plan, memory=memory) as loaded:
        connection = loaded.connection
        loaded.experiment = _find_experiment(loaded, experiment)
        _attach_left_out(loaded, plan)
        for file in loaded.slices:
            assign(connection, file, loaded.experiment)
        queries.attach_parquet(connection, "assigned", loaded.slices)
        rows = queries.fetch_table(connection, "ab/arms").to_pylist()
        loaded.arms = {row["arm"]: row for row in rows}
        yield loaded


@contextmanager
def load_events(
    paths: Sequence[str | Path],
    *,
    plan: Experiment | None = None,
    memory: str = "1GB",
) -> Iterator[Loaded]:
    """Read logs and stores into slices, those of `Loaded` before anybody is in an arm.

    The view `events` has all of them. Files and views live as long as the block.

    Raises:
        StoreError: A store is damaged, or has only hashes of the ids of those to be left out.
        AnalysisError: A path cannot be read, or no line is an event.
    """
    folders = {
        Path(path).resolve(): Path(path)
        for path in paths
        if (Path(path) / MANIFEST).is_file()
    }
    stores = [_open_store(folder) for folder in folders.values()]
    logs = discover(path for path in paths if Path(path).resolve() not in folders)
    with (
        tempfile.TemporaryDirectory(prefix="ab-") as name,
        queries.connect(
            memory_limit=memory,
            temp_directory=Path(name) / "spilled",
            preserve_insertion_order=False,
        ) as connection,
    ):
        loaded = Loaded(connection, logs, stores)
        _write_slices(loaded, Path(name), plan)
        _check_events(loaded)
        queries.attach_parquet(connection, "events", loaded.slices)
        yield loaded


def _open_store(folder: Path) -> Store:
    store = open_store(folder)
    if store.manifest.holds == "interactions":
        problem = "holds interactions, which have no sessions and arms"
        raise StoreError(f"{folder}: {problem}; event logs are needed")
    return store


def assign(connection: queries.Connection, file: Path, experiment: str | None) -> None:
    """Put `sql/ab/assigned_events.sql` in the place of the events of a slice."""
    assigned = file.with_suffix(".assigned")
    queries.attach_query(
        connection, "events", "events/counted_once", events_file=str(file)
    )
    queries.copy_to_parquet(
        connection,
        "ab/assigned_events",
        assigned,
        everybody=experiment is None,
        experiment=queries.json_pointer(experiment or ""),
    )
    assigned.replace(file)


def _count_events(loaded: Loaded) -> int:
    """Return about how many events there are."""
    bytes_in_all = sum(
        log.size_bytes * (_PACKED if log.is_gzipped else 1) for log in loaded.logs
    )
    stored = sum(store.manifest.events for store in loaded.stores)
    return stored + bytes_in_all // _BYTES_OF_AN_EVENT


def _write_slices(loaded: Loaded, folder: Path, plan: Experiment | None) -> None:
    """Write every event of the sources once, to the file of its listener's slice."""
    expected = _count_events(loaded)
    count = 1 + expected // _EVENTS_OF_A_SLICE
    loaded.slices = [folder / f"events-{number:03}.parquet" for number in range(count)]
    tables = chain(_read_stores(loaded, plan), _read_logs(loaded, folder, plan))
    read_events = 0
    with ExitStack() as stack, progress("read", expected, "events") as report:
        writers = [
            stack.enter_context(pq.ParquetWriter(file, EVENT_SCHEMA, compression="lz4"))
            for file in loaded.slices
        ]
        for rows in ahead(gather(tables, _EVENTS_AT_ONCE)):
            slice_of = ((rows["user"].to_numpy() * _LARGE_ODD) >> 32) % len(writers)
            for number, writer in enumerate(writers):
                writer.write_table(rows.filter(pa.array(slice_of == number)))
            read_events += len(rows)
            report(read_events)
    loaded.rejected.sort(key=lambda rejected: (rejected.file, rejected.line))
    del loaded.rejected[_SHOWN_REJECTS:]


def _read_stores(loaded: Loaded, plan: Experiment | None) -> Iterator[pa.Table]:
    """Yield the events of stores, and count the lines that they were read from."""
    for store in loaded.stores:
        if plan and plan.leaves_out and store.manifest.text_users:
            problem = "has text ids, and the experiment has changes or overrides"
            raise StoreError(f"{store.path}: {problem}; report on its event logs")
        for source in store.manifest.sources:
            loaded.lines += source.lines
            rejects = store.path / source.rejects
            if rejects.is_file():
                loaded.rejected += read_rejects(rejects)[:_SHOWN_REJECTS]
        for file in check_files(store.path, store.manifest.parts):
            for batch in pq.ParquetFile(file).iter_batches(_EVENTS_AT_ONCE):
                yield with_all_columns(pa.Table.from_batches([batch]), EVENT_SCHEMA)


def _read_logs(
    loaded: Loaded,
    scratch: Path,
    plan: Experiment | None,
) -> Iterator[pa.Table]:
    """Yield the events of logs, and count their lines."""
    logs = NewFiles(loaded.logs, scratch)
    for found in read(logs, kinds_of(loaded.logs)):
        loaded.lines += found.lines
        loaded.rejected += found.rejects[:_SHOWN_REJECTS]
        if plan and plan.leaves_out:
            texts = found.text_ids["user"].drop_null().to_pylist()
            loaded.texts.update((number_of(text), text) for text in texts)
        yield found.events


def _check_events(loaded: Loaded) -> None:
    """Refuse sources without an event."""
    if loaded.lines.good:
        return
    why = "no line but blank ones"
    if loaded.rejected:
        line = loaded.rejected[0]
        why = f"the first line refused is {line.file}:{line.line}: {line.reason}"
    names = ", ".join(loaded.names)
    count = loaded.lines.read
    raise AnalysisError(f"{names}: no event in {count:,} lines; {why}")


def _find_experiment(loaded: Loaded, asked: str | None) -> str | None:
    """Return the experiment whose arms are wanted; None for everybody in one arm."""
    rows = queries.fetch_table(loaded.connection, "ab/experiments")
    loaded.experiments = found = rows["name"].to_pylist()
    if asked != "":
        return asked
    if len(found) != 1:
        problem = f"which of {', '.join(found)}? Events name {len(found)}; name one"
        if not found:
            problem = f"no event of {loaded.names[0]} is in one"
        raise AnalysisError(f"experiment: {problem}")
    return str(found[0])


def _attach_left_out(loaded: Loaded, plan: Experiment | None) -> None:
    """Attach the listeners whom a report leaves out, as the table `left_out`."""
    users: list[int] = []
    if plan and plan.leaves_out:
        listeners = queries.fetch_table(loaded.connection, "ab/listeners")
        users = listeners["user"].to_pylist()
        ids = [loaded.texts.get(user, user) for user in users]
        users = list(compress(users, plan.left_out(ids)))
    left_out = pa.table([users], LEFT_OUT)
    loaded.connection.register("left_out", left_out)
