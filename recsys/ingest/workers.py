"""Plan an ingest on the workers of a cluster, whose calls meet in a folder that all see."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from analysis.logs.files import LogFile
from analysis.logs.sources import NewFiles, in_batches
from analysis.plays.query import PlaysQuery
from analysis.store import Source, Store
from recsys.cluster.cluster import Client, Cluster, Plan
from recsys.cluster.config import ClusterConfig
from recsys.ingest.plays import CheckedFiles, check_batch
from recsys.ingest.reading import Reading, read_plays
from recsys.store.partitions import Part, write_part

Data = Sequence[LogFile] | PlaysQuery


def read_on_workers(
    before: Store,
    data: Data,
    scratch: Path,
    config: ClusterConfig,
    client: Client | None,
) -> tuple[Reading, dict[int, Part]]:
    """Read and sort new plays on workers, with the results of `read_plays` and `sort_plays`.

    Args:
        before: The store, in a folder that all workers see.
        data: Event logs, which a worker reads, or the query.
        scratch: An empty folder of the store.
        config: Has the scheduler.
        client: Runs the calls, if it is there.
    """
    scratch = scratch.absolute()
    folder = before.path.absolute()
    before = replace(before, path=folder, address=str(folder))
    files: Sequence[LogFile] = []
    if not isinstance(data, PlaysQuery):
        data = files = [_absolute(file) for file in data]
    else:
        data = replace(data, folder=data.folder.absolute())
        if data.reader and not data.reads_database:
            files = [_absolute(file) for file in data.files(scratch)]
    seen = scratch / "seen"
    seen.touch()
    with Cluster(config, [seen, *(file.path for file in files[:1])], client) as cluster:
        return cluster.run_plan(_plan(before, data, files, scratch))


def _absolute(file: LogFile) -> LogFile:
    return replace(file, path=file.path.absolute())


def _plan(
    before: Store, data: Data, files: Sequence[LogFile], scratch: Path
) -> Plan[tuple[Reading, dict[int, Part]]]:
    """Plan calls for the files of a query, for all rows together, and for each partition."""
    checked = None
    if isinstance(data, PlaysQuery) and files:
        batches = [*in_batches(files)]
        sources = before.manifest.sources
        added = yield [
            (find_sources, batch, data, scratch, sources) for batch in batches
        ]
        # what the files before a batch have adds nothing
        sources_of = accumulate(
            added, lambda before, new: (*before, *new), initial=sources
        )
        targets = [scratch / f"checked-{n:06}.parquet" for n in range(len(batches))]
        parts = zip(batches, targets, sources_of, strict=False)
        checks = yield [(check_part, data, *part) for part in parts]
        checked = _join(checks, scratch)
    (reading,) = yield [(read, before, data, scratch, checked)]
    calls = [
        (write_part, batches, scratch, _narrow(before, n), reading.whole, n)
        for n, batches in sorted(reading.batches.items())
    ]
    written = (yield calls) if calls else []
    return reading, dict(zip(sorted(reading.batches), written, strict=True))


def _narrow(store: Store, partition: int) -> Store:
    """Return a store with the parts of a partition alone, which is small to send."""
    parts = tuple(part for part in store.manifest.parts if part.of == partition)
    return replace(store, manifest=replace(store.manifest, sources=(), parts=parts))


def _join(parts: Sequence[CheckedFiles], folder: Path) -> CheckedFiles:
    columns = [part.columns for part in parts if part.columns]
    return CheckedFiles(
        folder,
        columns[-1] if columns else (),
        {file: lines for part in parts for file, lines in part.malformed.items()},
        {file: source for part in parts for file, source in part.sources.items()},
        [file for part in parts for file in part.repeated],
        sum(part.left_out for part in parts),
    )


def find_sources(
    batch: Sequence[LogFile],
    query: PlaysQuery,
    scratch: Path,
    sources: Sequence[Source],
) -> tuple[Source, ...]:
    """Compute the sources of some files, as if no other file was new."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        files = NewFiles(batch, Path(folder), sources, query.content, in_place=True)
        with files.copied(batch):
            return tuple(files.sources.values())


def check_part(
    query: PlaysQuery, batch: Sequence[LogFile], target: Path, sources: Sequence[Source]
) -> CheckedFiles:
    """Check some files of a query into a Parquet file, which appears whole."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        files = NewFiles(batch, Path(folder), sources, query.content)
        part = Path(folder, target.name)
        checked = check_batch(files, batch, query, part)
        if checked:
            part.replace(target)
    return CheckedFiles(
        target.parent,
        checked.columns if checked else (),
        dict(checked.malformed) if checked else {},
        files.sources,
        files.repeated,
        files.left_out,
    )


def read(
    before: Store, data: Data, scratch: Path, checked: CheckedFiles | None
) -> Reading:
    """Read plays into a folder of this call alone: a call may run again."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    return read_plays(before, data, folder, checked=checked)
