"""Read event logs and session stores, and put every event into its listener's arm.

The events are in Parquet files, by slices of the listeners, so that only a slice is ordered at a
time however long the log is. A store has the events that an ingest made of the lines, and counts of
the lines, so logs and their store give the same report.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset

from analysis import queries
from analysis.errors import AnalysisError, StoreError
from analysis.logs.field_types import EVENT_SCHEMA, with_all_columns
from analysis.logs.files import discover
from analysis.logs.lines import LineCounts, Reject
from analysis.logs.reader import gather, kinds_of, read, read_rejects
from analysis.logs.sources import NewFiles
from analysis.store import (
    EVENT_COLUMNS,
    MANIFEST,
    Store,
    check_files,
    number_of,
    open_store,
)
from looplib.arrays import IntArray
from looplib.experiments import Experiment
from looplib.files import naming
from looplib.progress import progress

NO_END = 2**63 - 1  # later than any event, in ms
_SHOWN_REJECTS = 5
_FEW = 0.05  # share of a usual day's events
_EVENTS_OF_A_SLICE = 1_000_000
_EVENTS_AT_ONCE = 100_000
_MEMORY = "1GB"  # beyond it DuckDB spills to the disk
_BYTES_OF_AN_EVENT = 200  # a line of a log; only to guess how many there are
_PACKED = 8  # a gzipped log is about an eighth of its text
# only texts of few values are worth a dictionary
_DICTIONARIES = ["message", "experiments", "recommender"]
# No report needs these fields, which are checked and left out.
_UNUSED = ("session", "propensity")
_LARGE_ODD = np.int64(0x1E3779B97F4A7C15)


@dataclass(frozen=True)
class Events:
    """The events of logs and stores; the view `logged` has all of them, or a slice."""

    connection: queries.Connection
    slices: tuple[Path, ...]  # folders; all events of a listener are in the same folder
    sources: tuple[str, ...] = ()  # the names of the stores and logs
    lines: LineCounts = field(default_factory=LineCounts)
    rejected: tuple[Reject, ...] = ()  # the first rejected lines


@contextmanager
def read_events(paths: Sequence[str | Path]) -> Iterator[Events]:
    """Read files, folders and patterns of logs, and folders of session stores.

    Files and views live as long as the block.

    Args:
        paths: Paths and patterns.

    Raises:
        StoreError: A store is damaged, or has no events.
        AnalysisError: A path cannot be read, or no line is an event.
    """
    folders = {
        Path(path).resolve(): Path(path)
        for path in paths
        if (Path(path) / MANIFEST).is_file()
    }
    stores = [*map(open_store, folders.values())]
    logs = discover(path for path in paths if Path(path).resolve() not in folders)
    sources = (*(str(store.path) for store in stores), *(log.name for log in logs))
    schema = pa.schema([field for field in EVENT_SCHEMA if field.name not in _UNUSED])
    expected = sum(store.manifest.events for store in stores)
    for log in logs:
        packed = _PACKED if log.is_gzipped else 1
        expected += log.size_bytes * packed // _BYTES_OF_AN_EVENT
    counts: list[LineCounts] = []
    rejected: list[Reject] = []

    def read_all(scratch: Path) -> Iterator[pa.Table]:
        for store in stores:
            counts.extend(source.lines for source in store.manifest.sources)
            rejected.extend(_stored_rejects(store))
            for part in check_files(store.path, store.manifest.parts):
                for batch in pq.ParquetFile(part).iter_batches(_EVENTS_AT_ONCE):
                    rows = pa.Table.from_batches([batch])
                    yield with_all_columns(rows.rename_columns(EVENT_COLUMNS), schema)
        files = NewFiles(logs, scratch, in_place=True)
        for chunk in read(files, kinds_of(logs), fields=schema.names):
            counts.append(chunk.lines)
            files.compare(chunk.file, chunk.events)
            rejected.extend(chunk.rejects[:_SHOWN_REJECTS])
            yield chunk.events

    with (
        tempfile.TemporaryDirectory(prefix="ab-") as name,
        queries.connect(
            memory_limit=_MEMORY,
            temp_directory=Path(name) / "spilled",
            preserve_insertion_order=False,
        ) as connection,
    ):
        folder = Path(name)
        slices = _write_slices(read_all(folder), schema, expected, folder / "slices")
        lines = sum(counts, LineCounts())
        rejected.sort(key=lambda reject: (reject.file, reject.line))
        if not lines.good:
            problem = f"{', '.join(sources)}: no event in {lines.read:,} lines"
            for row in rejected[:1]:
                problem += f"; the first is {row.file}:{row.line}: {row.reason}"
            raise AnalysisError(problem)
        first = tuple(rejected[:_SHOWN_REJECTS])
        events = Events(connection, slices, sources, lines, first)
        attach_logged(connection, folder / "slices" / "*")
        yield events


def _stored_rejects(store: Store) -> Iterator[Reject]:
    """Yield the first rejected lines of the sources of a store that event logs made."""
    if not store.manifest.is_logged:
        problem = "its plays come from tables, which have no requests and arms"
        raise StoreError(f"{store.path}: {problem}; event logs are needed")
    for source in store.manifest.sources:
        file = store.path / source.rejects
        if file.is_file():
            yield from read_rejects(file)[:_SHOWN_REJECTS]


def attach_logged(connection: queries.Connection, folder: Path) -> None:
    """Point the view `logged` at the events of a slice, or of a pattern of slices."""
    files = str(folder / "*.parquet")
    queries.attach_query(connection, "logged", "events/counted_once", events_file=files)


def _write_slices(
    tables: Iterator[pa.Table], schema: pa.Schema, expected: int, folder: Path
) -> tuple[Path, ...]:
    """Write events to the folders of their listeners' slices."""
    count = 1 + expected // _EVENTS_OF_A_SLICE
    number = pa.field("slice", pa.uint32())

    def label(report: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
        written = 0
        for rows in gather(tables, _EVENTS_AT_ONCE, schema):
            hashes = (rows["user"].to_numpy() * _LARGE_ODD) >> 32
            slice_of = pa.array((hashes % count).astype(np.uint32))
            yield from rows.append_column(number, slice_of).to_batches()
            written += len(rows)
            report(written)

    # soon read and deleted, so that packing costs more than it saves
    options = dataset.ParquetFileFormat().make_write_options(
        compression="none", use_dictionary=_DICTIONARIES, write_statistics=False
    )
    with naming(folder), progress("read", expected, "events") as report:
        dataset.write_dataset(
            label(report),
            folder,
            schema=schema.append(number),
            format="parquet",
            file_options=options,
            partitioning=[number.name],
            max_partitions=count,
        )
    return tuple(sorted(folder.glob("*")))


def find_experiment(events: Events, asked: str) -> str:
    """Find an experiment by its name, or the only experiment if the name is empty.

    Raises:
        AnalysisError: There is no such experiment, or the name is empty and there are several.
    """
    names = queries.fetch_table(events.connection, "ab/experiments")["name"].to_pylist()
    matches = [name for name in names if asked in {"", name}]
    if len(matches) != 1:
        listed = ", ".join(names) or "no experiment"
        problem = f"{asked or 'none'} is named, and events have {listed}"
        raise AnalysisError(f"experiment: {problem}; name one of these")
    return str(matches[0])


def assign_arms(
    events: Events,
    experiment: str | None,
    plan: Experiment | None = None,
) -> dict[str, dict[str, Any]]:
    """Put listeners into their arms; the view `assigned` has them with the events of `logged`.

    Args:
        events: Events of all slices.
        experiment: Its name; None puts all events into a single arm, "".
        plan: The experiment's file, whose testers are left out.

    Returns:
        Rows of `sql/ab/arms.sql` by arm.
    """
    connection = events.connection
    overrides = plan.overrides if plan else ()
    testers = [number_of(user) for user in overrides]
    # A log of numbers has testers by their number.
    testers += [int(user) for user in overrides if user.isdecimal() and len(user) < 19]
    connection.register("left_out", pa.table({"user": pa.array(testers, pa.int64())}))
    queries.materialize(
        connection,
        "assignments",
        "ab/assignments",
        all_listeners=experiment is None,
        experiment=queries.json_pointers(experiment or "")[0],
    )
    queries.attach_query(connection, "assigned", "ab/assigned_events")
    rows = queries.fetch_table(connection, "ab/arms").to_pylist()
    return {row["arm"]: row for row in rows}


def read_arrivals(events: Events) -> tuple[IntArray, dict[str, IntArray], int]:
    """Count new listeners by day, without days that a wrong clock made.

    Such days stand apart from the days that have more than a twentieth of the usual events.

    Returns:
        Days since the epoch, the listeners on each by arm, and all events.
    """
    rows = queries.fetch_table(events.connection, "ab/arrivals")
    (days, place), counts = (
        np.unique(rows["day"].to_numpy(), return_inverse=True),
        rows["events"].to_numpy(),
    )
    by_day = np.bincount(place, counts)
    usual = days[by_day > _FEW * np.median(by_day)]
    is_near = (days >= usual[0] - 1) & (days <= usual[-1] + 1)
    arms = rows["arm"].to_numpy()
    new = {
        arm: np.bincount(place, rows["listeners"].to_numpy() * (arms == arm), len(days))
        for arm in dict.fromkeys(arms.tolist())
    }
    arrivals = {arm: count[is_near].astype(int) for arm, count in new.items()}
    return days[is_near], arrivals, int(counts.sum())
