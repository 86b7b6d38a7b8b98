"""Reading: event logs and session stores into a DuckDB connection, events split into slices by listener.

However long the log, only a slice is ordered at a time (`measures`). A store has the events that an
ingest made of the lines, and counts of the lines, so logs and their store give the same report.
"""

import datetime
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.config import Horizon
from analysis.errors import AnalysisError, StoreError
from analysis.logs import reader
from analysis.logs.files import LogFile, discover, in_batches
from analysis.logs.lines import LineCounts, canonical_assignments
from analysis.store import MANIFEST, Store, open_store
from looplib.progress import ProgressReport, progress

EVERYBODY = ""  # the arm of all listeners where no experiment is asked for
_SHOWN_REJECTS = 5
DAY_MS = 86_400_000
_LONG_AFTER = 2**63 - 1
_INTERLEAVED = re.compile(r"(?:(\w+) of )?interleaved\((\w+), ?(\w+)\)")
_RECOMMENDERS = pa.schema({"name": pa.string(), "own": pa.string(), "side": pa.int32()})
_EVENTS_OF_A_SLICE = 2_000_000
_EVENTS_AT_ONCE = 1_000_000  # read from a store
_BYTES_OF_AN_EVENT = 200  # a line of a log; only to guess how many there are


@dataclass(frozen=True)
class Sources:
    """The logs and session stores that a report is of."""

    logs: tuple[LogFile, ...]
    stores: tuple[Store, ...]

    @property
    def events(self) -> int:
        """About how many events there are."""
        of_logs = sum(log.text_bytes for log in self.logs) // _BYTES_OF_AN_EVENT
        return of_logs + sum(store.manifest.events for store in self.stores)

    @property
    def megabytes(self) -> float:
        """Their size on the disk."""
        return (
            sum(log.size_bytes for log in self.logs)
            + sum(store.bytes for store in self.stores)
        ) / 1e6

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return (
            *(str(store.path) for store in self.stores),
            *(log.name for log in self.logs),
        )


@dataclass(frozen=True)
class RejectedLine:
    """One of the first lines that are not events."""

    file: str
    line: int
    reason: str


@dataclass
class Loaded:
    """Events in a DuckDB connection, split by listener into slices, and what is known of them."""

    connection: queries.Connection  # holds the tables
    experiment: (
        str | None
    )  # whose arms are wanted; None puts all events into one arm, `EVERYBODY`
    slices: tuple[
        str, ...
    ]  # the tables of assigned events, one a slice of the listeners
    is_whole: bool  # with what the original table does not need
    names: tuple[str, ...]  # the logs and stores
    arms: set[str] = field(
        default_factory=set
    )  # the arms that events name for the experiment
    experiments: set[str] = field(
        default_factory=set
    )  # all experiments that events name
    # requests by arm and recommender
    recommenders: Counter[tuple[str, str]] = field(default_factory=Counter)
    span_ms: tuple[int, int] = (_LONG_AFTER, 0)  # the experiment's first and last event
    # of each arm, given or the one that answered most
    own_recommenders: dict[str, str] = field(default_factory=dict)
    # when the horizon ends, where one was reached; what is later is left out
    end_ms: int = _LONG_AFTER
    left_out: int = 0  # the experiment's events after that
    lines: LineCounts = field(
        default_factory=lambda: LineCounts(0, 0, 0, 0)
    )  # of the logs
    rejected: list[RejectedLine] = field(default_factory=list)  # the first ones
    _summary: list[dict[str, Any]] = field(default_factory=list)  # of the table `batch`

    @property
    def start_ms(self) -> int:
        """When the experiment began; 0 for one without events."""
        return self.span_ms[0] if self.arms else 0

    @property
    def at_horizon(self) -> bool:
        """Whether the declared horizon is reached."""
        return self.end_ms < _LONG_AFTER

    def each_slice(self) -> Iterator[queries.Connection]:
        """Make each slice in turn readable as the table `assigned`, with what is later than the horizon."""
        for table in self.slices:
            queries.alias(self.connection, "assigned", table)
            yield self.connection

    def stop_at(self, horizon: Horizon) -> None:
        """Leave out what is later than the experiment's horizon; nothing where that is not reached.

        Raises:
            AnalysisError: The horizon is a date before the first event.
        """
        of_slices = pa.concat_tables(
            queries.fetch_table(slice_, "ab/arrivals") for slice_ in self.each_slice()
        )
        by_day = (
            of_slices.group_by("day")
            .aggregate([("listeners", "sum"), ("events", "sum")])
            .sort_by("day")
        )
        days, arrived, events = (
            by_day[name].to_numpy() for name in ("day", "listeners_sum", "events_sum")
        )
        if horizon.date is not None:
            last = (horizon.date - datetime.date(1970, 1, 1)).days
            reached = days >= last
            if last < days[0]:
                first = datetime.date(1970, 1, 1) + datetime.timedelta(int(days[0]))
                raise AnalysisError(
                    f"horizon: {horizon.date} is before the experiment's first day in the log, {first}"
                )
        else:
            reached = np.cumsum(arrived) >= (horizon.listeners or 0)
            last = int(days[np.argmax(reached)])
        if reached.any():
            self.end_ms = (last + 1) * DAY_MS
            self.left_out = int(events[days > last].sum())

    def read(self, sources: Sources, scratch: Path, report: ProgressReport) -> None:
        """Read all stores, then all logs; the report gets the megabytes read so far."""
        done = 0.0
        parts = [
            (store.path, part)
            for store in sources.stores
            for part in store.manifest.parts
        ]
        for stored in in_batches(parts, lambda part: part[1].rows, _EVENTS_AT_ONCE):
            files = [folder / part.path for folder, part in stored]
            queries.attach_parquet(self.connection, "events", files)
            self._consume(0)
            self._keep()
            done += sum(file.stat().st_size for file in files) / 1e6
            report(done)
        for store in sources.stores:
            for source in store.manifest.sources:
                self._count(
                    source.lines,
                    store.path / source.rejects if source.lines.rejected else None,
                )
        for batch in reader.read(
            self.connection, sources.logs, self._consume, scratch=scratch
        ):
            self._keep()
            for read in batch:
                self._count(read.lines, read.rejects)
                done += read.file.size_bytes / 1e6
            report(done, f"{self.lines.good:,} events")
        self.rejected = sorted(
            self.rejected, key=lambda rejected: (rejected.file, rejected.line)
        )[:_SHOWN_REJECTS]

    def _consume(self, _: int) -> int:
        """Make the table `batch` of the table `events`, and return the number of its events."""
        queries.materialize(
            self.connection, "batch", "ab/batch_events", whole=self.is_whole
        )
        self._summary = queries.fetch_table(
            self.connection, "ab/batch_summary"
        ).to_pylist()
        for row in self._summary:
            text = row["experiments"]
            row["named"] = {} if text is None else _decode(canonical_assignments(text))
        return sum(row["events"] for row in self._summary)

    def _keep(self) -> None:
        """Split the table `batch`, which is final now, into the slices."""
        arms = {}
        for row in self._summary:
            self.experiments |= row["named"].keys()
            arm = (
                EVERYBODY
                if self.experiment is None
                else row["named"].get(self.experiment)
            )
            if arm is not None:
                arms[row["experiments"]] = arm
                self.span_ms = (
                    min(self.span_ms[0], row["start_ms"]),
                    max(self.span_ms[1], row["end_ms"]),
                )
                if row["recommender"] is not None and row["requests"]:
                    self.recommenders[arm, _credit(row["recommender"])[0]] += row[
                        "requests"
                    ]
        self.arms |= set(arms.values())
        names = sorted({row["recommender"] for row in self._summary} - {None})
        rows = [
            dict(zip(_RECOMMENDERS.names, (name, *_credit(name)), strict=True))
            for name in names
        ]
        queries.attach_arrow(
            self.connection, "recommenders", pa.Table.from_pylist(rows, _RECOMMENDERS)
        )
        attach_texts(
            self.connection,
            "arms",
            {"experiments": list(arms), "arm": list(arms.values())},
        )
        for number, table in enumerate(self.slices):
            queries.append(
                self.connection,
                table,
                "ab/assigned",
                slice=number,
                slices=len(self.slices),
            )
        queries.drop(self.connection, "batch")

    def _count(self, lines: LineCounts, rejects: Path | None) -> None:
        self.lines += lines
        if rejects and rejects.is_file():
            first = reader.read_rejects(rejects, _SHOWN_REJECTS)
            self.rejected += [
                RejectedLine(reject.file, reject.line, reject.reason)
                for reject in first
            ]


def find_sources(paths: Sequence[str | Path]) -> Sources:
    """Find the logs and stores that files, folders and patterns stand for.

    Raises:
        EventLogError: A path holds neither.
        StoreError: A store is damaged, or holds interactions.
    """
    stores = {
        Path(path).resolve(): Path(path)
        for path in paths
        if (Path(path) / MANIFEST).is_file()
    }
    logs = [path for path in paths if Path(path).resolve() not in stores]
    opened = tuple(open_store(path) for path in stores.values())
    for store in opened:
        if store.manifest.interactions:
            raise StoreError(
                f"{store.path}: holds interactions, which have no sessions and arms; event logs are needed"
            )
    return Sources(tuple(discover(logs)), opened)


@contextmanager
def load(
    paths: Sequence[str | Path],
    experiment: str | None = None,
    *,
    memory: str = "1GB",
    table_only: bool = False,
) -> Iterator[Loaded]:
    """Read logs and stores; the tables live as long as the block.

    Args:
        paths: Files, folders and patterns of logs, and folders of session stores.
        experiment: Whose arms are wanted; None puts all events into one arm, `EVERYBODY`.
        memory: What DuckDB may use before it spills to the disk.
        table_only: Read only what the original table needs, which is `measures.measure_original`.

    Raises:
        EventLogError: A path cannot be read.
        AnalysisError: No line in them is an event.
    """
    sources = find_sources(paths)
    slices = 1 if table_only else -(-max(1, sources.events) // _EVENTS_OF_A_SLICE)
    tables = tuple(f"assigned_{number}" for number in range(slices))
    with (
        tempfile.TemporaryDirectory(prefix="ab-") as folder,
        queries.connect(
            memory_limit=memory,
            temp_directory=Path(folder) / "spilled",
            keep_order=False,
        ) as connection,
    ):
        loaded = Loaded(connection, experiment, tables, not table_only, sources.names)
        with progress("read", sources.megabytes, "MB") as report:
            loaded.read(sources, Path(folder), report)
        if not loaded.lines.good:
            refused = [
                f"{line.file}:{line.line}: {line.reason}" for line in loaded.rejected
            ]
            why = (
                f"the first line refused is {refused[0]}"
                if refused
                else "no line but blank ones"
            )
            raise AnalysisError(
                f"{', '.join(loaded.names)}: no event in {loaded.lines.read:,} lines; {why}"
            )
        yield loaded


def members(recommender: str) -> tuple[str, str] | None:
    """Return the two recommenders of a name of the form `interleaved(a, b)`; None for another."""
    found = _INTERLEAVED.fullmatch(recommender)
    return (found[2], found[3]) if found else None


def _credit(name: str) -> tuple[str, int | None]:
    """Return an event's recommender, two interleaved ones together, and which of them is credited, 1 or 2."""
    found, pair = _INTERLEAVED.fullmatch(name), members(name)
    if not found or not pair:
        return name, None
    return name.removeprefix(f"{found[1]} of "), pair.index(found[1]) + 1 if found[
        1
    ] in pair else None


_decode = msgspec.json.Decoder(dict[str, str]).decode


def attach_texts(
    connection: queries.Connection,
    table: str,
    columns: Mapping[str, Sequence[str | None]],
) -> None:
    """Make columns of text readable under a table's name."""
    schema = pa.schema({name: pa.string() for name in columns})
    queries.attach_arrow(connection, table, pa.table(dict(columns), schema=schema))
