"""Build a dataset from a session store: partitions are prepared on the cluster, then joined."""

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis.store import Store
from looplib.arrays import AnyIntArray, Float32Array, IntArray, column_values, offsets
from looplib.checksums import seal
from looplib.files import (
    atomic_directory,
    atomic_write_json,
    exclusive,
    remove_leftovers,
    sha256_file,
)
from looplib.progress import say
from recsys.cluster.cluster import Cluster
from recsys.config import Feedback, Split
from recsys.dataset.dataset import (
    BY_TRACK,
    PIECES,
    SIDES,
    SUMMARY,
    Dataset,
    Side,
    Summary,
    load_matrix,
    new_array,
    open_dataset,
    open_whole_dataset,
)
from recsys.dataset.partitions import Kind, complete_rule, prepare_partition
from recsys.dataset.plan import DatasetPlan
from recsys.dataset.plays import positions, unplayed_of, write_artists, write_plays
from recsys.errors import DatasetError, SplitError
from recsys.store.ids import originals, read_titles
from recsys.workspace import Workspace, open_workspace

Report = Callable[[float, str], None]
_AT_ONCE = 2**24  # interactions that are turned at once


def build_dataset(
    store: Store,
    plan: DatasetPlan,
    run: Workspace,
    cluster: Cluster,
    report: Report,
) -> Dataset:
    """Open a dataset, or make it in the store's folder `cache` with a task for each partition.

    One process of a machine makes datasets of a store at a time. `report` is called with the
    percentage that is done, and a note.

    Raises:
        SplitError: One side of the split is empty.
    """
    cache = open_workspace(store.address).sub("cache")
    dataset = _open_cached(cache, plan.digest)
    how = "cached"
    if dataset is None:
        cache.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(cache.folder.with_name(".cache.lock")):
            # another process may have made it
            dataset = _open_cached(cache, plan.digest)
            if dataset is None:
                remove_leftovers(cache.folder)
                dataset = _build(store, plan, cache, run, cluster, report)
                how = "built"
    report(100, how)
    return dataset


def _open_cached(cache: Workspace, digest: str) -> Dataset | None:
    """Open a dataset that was made before, or delete a damaged one."""
    cached = cache.sub(digest)
    if not cached.download_all():
        return None
    try:
        return open_whole_dataset(cached)
    except DatasetError as error:
        damage = str(error).partition(";")[0]
        say(f"{damage}; it is built again")
        cache.delete(digest)
        return None


def _build(
    store: Store,
    plan: DatasetPlan,
    cache: Workspace,
    run: Workspace,
    cluster: Cluster,
    report: Report,
) -> Dataset:
    rule = complete_rule(store, plan.rule)
    cached = cache.sub(plan.digest)
    # the parts are sorted by it
    by_partition = itertools.groupby(
        store.manifest.parts, key=lambda part: part.partition
    )
    partitions = [
        (open_workspace(store.address).address, tuple(parts))
        for _, parts in by_partition
    ]
    shared = (run.sub(PIECES).address, rule, plan.feedback)
    tasks = [(*partition, *shared) for partition in partitions]
    with atomic_directory(cached.folder) as folder:
        counts = _prepare(tasks, run, folder, cluster, report)
        _check_sides(counts, rule.split)
        sizes = _assemble(folder, store, plan)
        files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
        summary = Summary(digest=plan.digest, **sizes, **counts, files=files)
        atomic_write_json(folder / SUMMARY, seal(summary))
    cached.upload_all()
    return open_dataset(cached.address)


def _prepare(
    tasks: Sequence[tuple[Any, ...]],
    run: Workspace,
    folder: Path,
    cluster: Cluster,
    report: Report,
) -> Counter[str]:
    """Prepare all partitions, and move their files from the run into a folder."""
    pieces = run.sub(PIECES)
    run.delete(PIECES)
    counts: Counter[str] = Counter()
    try:
        for done, outcome in enumerate(cluster.run(prepare_partition, tasks), start=1):
            counts.update(outcome.result())
            report(95 * done / len(tasks), f"{done} of {len(tasks)} partitions")
        pieces.download(*pieces.names())
        for file in pieces.folder.iterdir():
            shutil.move(file, folder / file.name)
    finally:
        run.delete(PIECES)
    return counts


def _check_sides(counts: Mapping[str, int], split: Split) -> None:
    sessions = counts["sessions"]
    heldout = counts["heldout_sessions"]
    if 0 < heldout < sessions:
        return
    share = ""
    if split.kind in ("session_hash", "newest", "time"):
        share = f" and holdout {split.holdout}"
    raise SplitError(
        f"split {split.kind}{share} holds out {heldout:,} of {sessions:,} sessions; "
        "both sides need at least one: ingest more sessions or change split.kind and split.holdout"
    )


def _assemble(folder: Path, store: Store, plan: DatasetPlan) -> dict[str, int]:
    """Join the partitions' files into the arrays and tables of a dataset, one in memory at a time.

    Returns:
        The sizes that a `Summary` has.
    """
    found = pa.concat_tables(_read(folder, "users"))
    users = np.sort(column_values(found["user"]))
    if len(users) < 2:
        raise SplitError(
            "all rows are of one listener; recommendations are learned from what many heard"
        )
    titles = read_titles(plan.catalogue, store)
    if store.manifest.catalogue_size is None:
        heard = pa.concat_tables(_read(folder, "tracks"))
        tracks = np.unique(column_values(heard["track"]))
        if plan.catalogue:
            tracks = np.union1d(tracks, unplayed_of(store, titles, tracks))
    else:
        tracks = np.arange(store.manifest.catalogue_size)
    heard = _write_matrices(folder, users, tracks, plan.feedback)
    for side in SIDES:
        write_by_track(folder, side, len(tracks))
    _write_tables(folder, users, tracks)
    if plan.rule.is_ordered:
        _write_plays(folder, users, tracks)
    ids = originals(store, "items", tracks, titles).tolist()
    write_artists(folder, titles, ids)
    _save(folder / "users.npy", users)
    _save(folder / "tracks.npy", tracks)
    for file in folder.glob("*.arrow"):
        file.unlink()
    return {
        "listeners": len(users),
        "tracks": len(tracks),
        "interactions": int(heard.sum()),
        "training_listeners": int(np.count_nonzero(heard)),
    }


def _write_tables(folder: Path, users: IntArray, tracks: IntArray) -> None:
    """Write held-out listening (by row, then column) and held-out sessions (by row)."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own has twice the page faults
    for kind in ("heldout", "logged"):
        tables = list(_read(folder, kind))
        if not tables:
            continue
        table = pa.concat_tables(tables)
        rows = _rows(table, users)
        for name, array in (("user", rows), ("track", _columns(table, tracks))):
            number = table.column_names.index(name)
            table = table.set_column(number, name, _arrow_column(array))
        # Each partition is in order, and has all of a listener.
        order = _arrow_column(np.argsort(rows, kind="stable"))
        pq.write_table(table.take(order), folder / f"{kind}.parquet")


def _write_plays(folder: Path, users: IntArray, tracks: IntArray) -> None:
    parts = [
        (_rows(table, users), _columns(table, tracks), column_values(table["heldout"]))
        for table in _read(folder, "plays")
    ]
    write_plays(folder, parts, len(users))


def _write_matrices(
    folder: Path,
    users: IntArray,
    tracks: IntArray,
    feedback: Feedback,
) -> IntArray:
    """Write the interactions of both sides as CSR matrices.

    Returns:
        How many tracks each listener heard in training, shape (listeners,).
    """
    counts = {side: np.zeros(len(users), dtype=np.int64) for side in SIDES}
    for table in _read(folder, "interactions"):
        rows = _rows(table, users)
        for side in SIDES:
            own = rows[column_values(table[side]) > 0]
            counts[side] += np.bincount(own, minlength=len(users))
    if not counts["train"].any():
        raise SplitError(
            "no training session has listening time that counts "
            f"(feedback.min_time {feedback.min_time}); "
            "at least one interaction is needed"
        )
    arrays = {side: _new_matrix(folder, side, counts[side]) for side in SIDES}
    for table in _read(folder, "interactions"):
        rows = _rows(table, users)
        columns = _columns(table, tracks)
        for side, (indptr, indices, values) in arrays.items():
            found = column_values(table[side])
            kept = np.flatnonzero(found > 0)
            position = positions(rows[kept], indptr)
            indices[position] = columns[kept]
            is_log = feedback.scale == "log"
            values[position] = np.log1p(found[kept]) if is_log else found[kept]
    return counts["train"]


def write_by_track(folder: Path, side: Side, tracks: int) -> None:
    """Write the matrix of a side by track too, some interactions at a time."""
    indptr = np.load(folder / f"{side}-indptr.npy")
    edges = np.searchsorted(indptr, np.arange(0, indptr[-1], _AT_ONCE))
    edges = np.unique(np.append(edges, len(indptr) - 1)).tolist()
    parts = [load_matrix(folder, side, tracks, *ends) for ends in pairwise(edges)]
    counts = np.zeros(tracks, np.int64)
    for part in parts:
        counts += np.bincount(part.indices, minlength=tracks)
    starts, indices, values = _new_matrix(folder, BY_TRACK.format(side), counts)
    begin = starts[:-1].copy()
    for first, part in zip(edges, parts, strict=False):
        by_track = csr_matrix(part.T)
        own = np.diff(by_track.indptr)
        shift = np.repeat(begin - by_track.indptr[:-1], own)
        position = np.arange(by_track.nnz) + shift
        indices[position] = by_track.indices + first
        values[position] = by_track.data
        begin += own


def _new_matrix(
    folder: Path,
    name: str,
    counts: IntArray,
) -> tuple[IntArray, AnyIntArray, Float32Array]:
    """Create the files of a CSR matrix with so many values a row; return its arrays."""
    indptr = offsets(counts)
    size = int(indptr[-1])
    _save(folder / f"{name}-indptr.npy", indptr)
    indices = new_array(folder / f"{name}-indices.npy", np.int32, (size,))
    values = new_array(folder / f"{name}-values.npy", np.float32, (size,))
    return indptr, indices, values


def _rows(table: pa.Table, users: IntArray) -> IntArray:
    """Find the row of each user; a user's are together."""
    found = column_values(table["user"])
    first = np.flatnonzero(np.diff(found, prepend=found[:1] - 1))
    rows = np.searchsorted(users, found[first])
    events = np.diff(first, append=len(found))
    return np.repeat(rows, events)


def _columns(table: pa.Table, tracks: IntArray) -> IntArray:
    """Find the column of each track."""
    found: IntArray = column_values(table["track"])
    are_all_ids = tracks[-1] - tracks[0] == len(tracks) - 1
    return found - tracks[0] if are_all_ids else np.searchsorted(tracks, found)


def _arrow_column(values: IntArray) -> pa.Array:
    """Return an Arrow array of the same memory; `pa.array` would import pandas."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _read(folder: Path, kind: Kind) -> Iterator[pa.Table]:
    """Yield the tables of a kind, partition by partition."""
    for file in sorted(folder.glob(f"{kind}-*.arrow")):
        yield pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    new_array(file, array.dtype.type, array.shape)[:] = array
