"""Read event logs and session stores into Parquet files, one a slice of the listeners.

`load` writes every event once, with the arm that its listener was in. However long the log, only a
slice is ordered at a time (`measures`). A store has the events that an ingest made of the lines,
and counts of the lines, so logs and their store give the same report.
"""

import datetime
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import queries
from analysis.ab.config import Horizon
from analysis.ab.sources import Sources, find_sources
from analysis.errors import AnalysisError, StoreError
from analysis.logs.field_types import EVENT_SCHEMA, with_all_columns
from analysis.logs.files import LogFile, snapshot
from analysis.logs.lines import LineCounts, Reject
from analysis.logs.reader import ahead, gather, kinds_of, read, read_rejects
from analysis.store import Store, number_of
from looplib.arrays import IntArray
from looplib.experiments import Experiment
from looplib.progress import ProgressReport, progress

EVERYBODY = ""  # the arm of all listeners where no experiment is asked for
_SHOWN_REJECTS = 5
DAY_MS = 86_400_000
_LONG_AFTER = 2**63 - 1
_INTERLEAVED = re.compile(r"(?:(\w+) of )?interleaved\((\w+), ?(\w+)\)")
_EVENTS_OF_A_SLICE = 2_000_000
_EVENTS_AT_ONCE = 100_000
_LARGE_ODD = np.int64(0x1E3779B97F4A7C15)
_decode_arms = msgspec.json.Decoder(dict[str, str]).decode

_TEXTS = ["message", "recommender", "arm"]
_ORIGINAL = ["user", "timestamp", "message", "time", "latency", "request", "arm"]
# what a report needs of an event
ASSIGNED_SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "timestamp": pa.int64(),
        "message": pa.string(),
        "time": pa.float64(),
        "latency": pa.float64(),
        "request": pa.int64(),
        "track": pa.int64(),
        "recommendation": pa.int64(),
        # of one of two interleaved recommenders, both together
        "recommender": pa.string(),
        # 1 or 2 for the first or second of them, if it is credited
        "side": pa.int32(),
        "arm": pa.string(),  # null outside of the experiment
    }
)


@dataclass(frozen=True)
class RejectedLine:
    """One of the first lines that are not events."""

    file: str
    line: int
    reason: str


@dataclass
class Loaded:
    """The events of a report in Parquet files, and what is known of them."""

    connection: queries.Connection
    # whose arms are wanted; "" is the only one that events name, and None puts all events into one
    # arm, `EVERYBODY`
    experiment: str | None
    # the experiment's file; testers, and listeners whom its changes moved, are in no arm
    plan: Experiment | None
    # columns of the schema; all events of a listener are in one file
    slices: tuple[Path, ...]
    schema: pa.Schema  # `ASSIGNED_SCHEMA`, or what the original table needs of it
    names: tuple[str, ...]  # the logs and stores
    # the arms that events name for the experiment
    arms: set[str] = field(default_factory=set)
    # all experiments that events name
    experiments: set[str] = field(default_factory=set)
    # requests by arm and recommender
    recommenders: Counter[tuple[str, str]] = field(default_factory=Counter)
    span_ms: tuple[int, int] = (_LONG_AFTER, 0)  # the experiment's first and last event
    # of each arm, given or the one that answered most
    own_recommenders: dict[str, str] = field(default_factory=dict)
    # when the horizon ends, where one was reached; what is later is left out
    end_ms: int = _LONG_AFTER
    progress: float = 0.0  # the share of the declared horizon that is reached
    left_out: int = 0  # the experiment's events after that
    lines: LineCounts = field(default_factory=LineCounts)  # of the logs
    # the texts of listeners' ids by the numbers that stand for them
    texts: dict[int, str] = field(default_factory=dict)
    rejected: list[RejectedLine] = field(default_factory=list)  # the first ones

    @property
    def start_ms(self) -> int:
        """When the experiment began; 0 for one without events."""
        return self.span_ms[0] if self.arms else 0

    def stop_at(self, horizon: Horizon) -> None:
        """Leave out what is later than the experiment's horizon; nothing where that is not reached.

        Raises:
            AnalysisError: The horizon is a date before the first event.
        """
        found = pa.concat_tables(
            queries.fetch_table(self.connection, "ab/arrivals", assigned_file=str(file))
            for file in self.slices
        )
        by_day = (
            found.group_by("day")
            .aggregate([("listeners", "sum"), ("events", "sum")])
            .sort_by("day")
        )
        days = by_day["day"].to_numpy()
        if horizon.date is not None:
            epoch = datetime.date(1970, 1, 1)
            last = (horizon.date - epoch).days
            if last < days[0]:
                first = epoch + datetime.timedelta(int(days[0]))
                raise AnalysisError(
                    f"horizon: {horizon.date} is before the experiment's first day in "
                    f"the log, {first}"
                )
            self.progress = float((days[-1] + 1 - days[0]) / (last + 1 - days[0]))
        else:
            arrived = np.cumsum(by_day["listeners_sum"].to_numpy())
            planned = horizon.listeners or 1
            self.progress = float(arrived[-1] / planned)
            last = int(days[np.argmax(arrived >= planned)])
        if self.progress >= 1:
            self.end_ms = (last + 1) * DAY_MS
            self.left_out = int(by_day["events_sum"].to_numpy()[days > last].sum())

    def assign(self, rows: pa.Table) -> pa.Table:
        """Return the columns of the schema of some events, and note their arms."""
        columns = {name: rows[name] for name in rows.column_names}
        columns["arm"] = self._arms_of(rows)
        names = rows["recommender"].combine_chunks().dictionary_encode()
        credited = [_credit(name) for name in names.dictionary.to_pylist()]
        both = pa.array([own for own, _ in credited], pa.string())
        sides = pa.array([side for _, side in credited], pa.int32())
        columns["recommender"] = both.take(names.indices)
        columns["side"] = sides.take(names.indices)
        assigned = pa.table(columns)
        noted = assigned.select(["timestamp", "message", "recommender", "arm"])
        self._note(noted.filter(pc.is_valid(noted["arm"])))
        return assigned.select(self.schema.names).cast(self.schema)

    def _arms_of(self, rows: pa.Table) -> pa.Array:
        """Return the arm of each event, and note the experiments."""
        encoded = rows["experiments"].combine_chunks().dictionary_encode()
        named = [_decode_arms(text) for text in encoded.dictionary.to_pylist()]
        self.experiments |= {name for arms in named for name in arms}
        if self.experiment is None:
            return pa.array([EVERYBODY] * len(rows), pa.string())
        experiment = self.experiment or min(self.experiments, default="")
        arms = [arms.get(experiment) for arms in named]
        found = pa.array(arms, pa.string()).take(encoded.indices)
        if not (self.plan and self.plan.leaves_out):
            return found
        users = rows["user"].combine_chunks().dictionary_encode()
        ids = [self.texts.get(user, user) for user in users.dictionary.to_pylist()]
        left_out = pa.array(self.plan.left_out(ids), pa.bool_()).take(users.indices)
        return pc.if_else(left_out, None, found)

    def _note(self, rows: pa.Table) -> None:
        """Note the arms, the recommenders and the time of events of the experiment."""
        if not len(rows):
            return
        found = pc.min_max(rows["timestamp"]).as_py()
        first, last = self.span_ms
        self.span_ms = min(first, found["min"]), max(last, found["max"])
        requests = pc.equal(rows["message"], "next")
        pairs = rows.append_column("is_request", requests)
        counts = pairs.group_by(["arm", "recommender"]).aggregate(
            [("is_request", "sum")]
        )
        for row in counts.to_pylist():
            self.arms.add(row["arm"])
            if row["recommender"] is not None and row["is_request_sum"]:
                self.recommenders[row["arm"], row["recommender"]] += row[
                    "is_request_sum"
                ]

    def count_stored(self, store: Store) -> None:
        """Count the lines that a store's events were read from.

        Raises:
            EventLogError: The store's copy of its rejected lines is damaged.
            StoreError: Listeners are to be left out by the text of their ids, which it hashed.
        """
        table = store.manifest.table
        if self.plan and self.plan.leaves_out and table and table.text_users:
            problem = "has text ids, and the experiment has changes or overrides"
            raise StoreError(f"{store.path}: {problem}; report on its event logs")
        for source in store.manifest.sources:
            self.lines += source.lines
            rejects = store.path / source.rejects
            if source.lines.rejected and rejects.is_file():
                self._note_rejects(read_rejects(rejects, _SHOWN_REJECTS))

    def read_logs(self, logs: Sequence[LogFile], scratch: Path) -> Iterator[pa.Table]:
        """Yield the events of logs, and count their lines."""
        copies = [snapshot(log, scratch) for log in logs]
        for found in read(copies, kinds_of(copies)):
            self.lines += found.lines
            self._note_rejects(found.rejects[:_SHOWN_REJECTS])
            if self.plan and self.plan.leaves_out:
                texts = found.text_ids["user"].drop_null().to_pylist()
                self.texts.update((number_of(text), text) for text in texts)
            yield found.events

    def _note_rejects(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            line = RejectedLine(reject.file, reject.line, reject.reason)
            self.rejected.append(line)


@contextmanager
def load(
    paths: Sequence[str | Path],
    experiment: str | None = None,
    *,
    plan: Experiment | None = None,
    memory: str = "1GB",
    table_only: bool = False,
) -> Iterator[Loaded]:
    """Read logs and stores; the files and tables live as long as the block.

    Args:
        paths: Files, folders and patterns of logs, and folders of session stores.
        experiment: Whose arms are wanted, "" of the only one; None puts all events into one arm,
            `EVERYBODY`.
        plan: The experiment's file; testers, and listeners whom its changes moved, are left out.
        memory: What DuckDB may use before it spills to the disk.
        table_only: Write only what the original table needs, which is
            `measures.measure_original`.

    Raises:
        EventLogError: A path cannot be read.
        AnalysisError: No line in them is an event.
    """
    sources = find_sources(paths)
    slices = 1 if table_only else -(-max(1, sources.events) // _EVENTS_OF_A_SLICE)
    with (
        tempfile.TemporaryDirectory(prefix="ab-") as name,
        queries.connect(
            memory_limit=memory,
            temp_directory=Path(name) / "spilled",
            keep_order=False,
        ) as connection,
    ):
        folder = Path(name)
        files = tuple(
            folder / f"events-{number:03}.parquet" for number in range(slices)
        )
        schema = ASSIGNED_SCHEMA
        if table_only:
            schema = pa.schema([schema.field(name) for name in _ORIGINAL])
        loaded = Loaded(connection, experiment, plan, files, schema, sources.names)
        with progress("read", sources.events, "events") as report:
            _write_slices(loaded, sources, folder, report)
        loaded.rejected.sort(key=lambda rejected: (rejected.file, rejected.line))
        del loaded.rejected[_SHOWN_REJECTS:]
        _check_events(loaded)
        yield loaded


def _write_slices(
    loaded: Loaded, sources: Sources, folder: Path, report: ProgressReport
) -> None:
    """Write every event of the sources once, to the file of its listener's slice."""
    for store in sources.stores:
        loaded.count_stored(store)
    tables = _read_stores(sources.stores), loaded.read_logs(sources.logs, folder)
    count, read_events, has_requests = len(loaded.slices), 0, False
    writers = [
        pq.ParquetWriter(file, loaded.schema, compression="lz4", use_dictionary=_TEXTS)
        for file in loaded.slices
    ]
    for kind in tables:
        for rows in ahead(gather(kind, _EVENTS_AT_ONCE)):
            assigned = loaded.assign(rows)
            has_requests |= assigned["request"].null_count < len(assigned)
            for writer, part in zip(writers, _divide(assigned, count), strict=True):
                writer.write_table(part)
            read_events += len(rows)
            report(read_events)
    for writer in writers:
        writer.close()
    if has_requests:
        _count_once(loaded)


def _divide(rows: pa.Table, slices: int) -> list[pa.Table]:
    """Divide events into slices by a hash of the listener's id."""
    if slices == 1:
        return [rows]
    users: IntArray = rows["user"].to_numpy()
    slice_of = ((users * _LARGE_ODD) >> 32) % slices
    return [rows.filter(pa.array(slice_of == number)) for number in range(slices)]


def _count_once(loaded: Loaded) -> None:
    """Leave out events that were sent again: of those with a request the first stays."""
    for file in loaded.slices:
        written = file.with_suffix(".once")
        queries.copy_to_parquet(
            loaded.connection, "events/counted_once", written, events_file=str(file)
        )
        written.replace(file)


def _read_stores(stores: Sequence[Store]) -> Iterator[pa.Table]:
    for store in stores:
        for file in store.files(store.manifest.parts):
            for batch in pq.ParquetFile(file).iter_batches(_EVENTS_AT_ONCE):
                # earlier stores have fewer fields
                yield with_all_columns(pa.Table.from_batches([batch]), EVENT_SCHEMA)


def _check_events(loaded: Loaded) -> None:
    """Refuse sources without an event."""
    if loaded.lines.good:
        return
    why = "no line but blank ones"
    if loaded.rejected:
        line = loaded.rejected[0]
        why = f"the first line refused is {line.file}:{line.line}: {line.reason}"
    names, count = ", ".join(loaded.names), loaded.lines.read
    raise AnalysisError(f"{names}: no event in {count:,} lines; {why}")


def members(recommender: str) -> tuple[str, str] | None:
    """Return the two recommenders of a name of the form `interleaved(a, b)`; None for another."""
    found = _INTERLEAVED.fullmatch(recommender)
    return (found[2], found[3]) if found else None


def _credit(name: str) -> tuple[str, int | None]:
    """Return an event's recommender, and which of two interleaved ones is credited, 1 or 2."""
    found, pair = _INTERLEAVED.fullmatch(name), members(name)
    if not found or not pair:
        return name, None
    side = pair.index(found[1]) + 1 if found[1] in pair else None
    return name.removeprefix(f"{found[1]} of "), side
