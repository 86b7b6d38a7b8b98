"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import Part
from looplib.arrays import AnyIntArray, Float32Array, IntArray
from looplib.checksums import seal
from looplib.files import atomic_directory, atomic_write_json, digest_of, remove_leftovers, sha256_file
from looplib.progress import console
from recsys.cluster.cluster import Cluster
from recsys.config import OPE_TIME, Feedback, SearchConfig
from recsys.dataset.buckets import COUNTS, Kind, count_starts, prepare_bucket
from recsys.dataset.dataset import (
    PIECES,
    SCHEMA,
    SUMMARY,
    Dataset,
    Summary,
    new_array,
    open_dataset,
    open_whole_dataset,
)
from recsys.dataset.split import KINDS, Split, SplitRule, file_sides, find_cutoff_ms, split_rule
from recsys.errors import DatasetError, SplitError
from recsys.store.remote import Store
from recsys.workspace import Workspace, open_workspace

Report = Callable[[float, str], None]


def dataset_digest(store: Store, config: SearchConfig) -> str:
    """Return the digest of all that a search's dataset follows from.

    Raises:
        SplitError: The files that the split names are not in the store.
    """
    facts = {
        "schema": SCHEMA,
        "store": store.manifest.digest,
        "tracks": store.catalogue_size,
        "seed": config.seed,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "heldout_organic": config.validation.organic,
        "files": file_sides(store, config.split),
    }
    return digest_of(facts)[:16]


def build_dataset(store: Store, config: SearchConfig, cluster: Cluster, report: Report) -> Dataset:
    """Open the dataset of a search; where the store's folder `cache` has it not, make it with a task for each bucket.

    `report` is called with the percentage that is done, and a note.

    Raises:
        SplitError: The store lacks what the split needs, or one side of the split is empty.
    """
    digest = dataset_digest(store, config)
    cache = store.workspace.sub("cache")
    cached = cache.sub(digest)
    if cached.download_all():
        try:
            dataset = open_whole_dataset(cached)
        except DatasetError as error:
            console.print(str(error).partition(";")[0] + "; it is built again", soft_wrap=True, markup=False)
            cache.delete(digest)
        else:
            report(100, "cached")
            return dataset
    cache.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(cache.folder)
    by_bucket = itertools.groupby(store.manifest.parts, key=lambda part: part.bucket)  # the parts are sorted by it
    buckets = [(store.workspace.address, tuple(parts)) for _, parts in by_bucket]
    rule = split_rule(store, config.split, config.seed)
    if KINDS[rule.split.kind].needs_cutoff:
        rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    run = open_workspace(config.run)
    shared = (run.sub(PIECES).address, rule, config.feedback, config.validation.organic)
    with atomic_directory(cached.folder) as folder:
        counts = _prepare([(*bucket, *shared) for bucket in buckets], run, folder, cluster, report)
        _check_sides(counts, config.split)
        _assemble(folder, store.catalogue_size, config.feedback)
        _write_summary(folder, digest, counts)
    cached.upload_all()
    report(100, "built")
    return open_dataset(cached.address)


def _prepare(
    tasks: Sequence[tuple[Any, ...]], run: Workspace, folder: Path, cluster: Cluster, report: Report
) -> dict[str, int]:
    """Prepare all buckets and move their files from the run, where the workers leave them, into a folder."""
    pieces = run.sub(PIECES)
    run.delete(PIECES)
    try:
        counts = dict.fromkeys(COUNTS, 0)
        for done, outcome in enumerate(cluster.run(prepare_bucket, tasks), start=1):
            of_bucket = outcome.result()
            counts = {name: count + of_bucket[name] for name, count in counts.items()}
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        pieces.download(*pieces.names())
        for file in pieces.folder.iterdir():
            shutil.move(file, folder / file.name)
    finally:
        run.delete(PIECES)
    return counts


def check_needs(store: Store, config: SearchConfig) -> None:
    """Refuse what only events tell where the store holds interactions.

    Raises:
        SplitError: A setting needs events, or the split something that the store lacks.
    """
    split_rule(store, config.split, config.seed)
    feedback, validation = config.feedback, config.validation
    wanted = {
        "feedback.organic: false": not feedback.organic,
        "validation.organic: false": not validation.organic,
        "feedback.skip_time": feedback.skip_time,
        f"validation.select: {validation.select}": validation.select.startswith(f"{OPE_TIME}@"),
        "context": config.context,
    }
    refused = next((setting for setting, is_wanted in wanted.items() if is_wanted), None)
    if refused and store.manifest.interactions:
        hint = "; leave it out: --set context=null" if refused == "context" else ""
        raise SplitError(f"{refused} needs event logs, and {store.workspace} holds interactions{hint}")


def _cutoff_ms(buckets: Sequence[tuple[str, tuple[Part, ...]]], rule: SplitRule, cluster: Cluster) -> int:
    outcomes = cluster.run(count_starts, [(*bucket, rule) for bucket in buckets])
    minutes, sessions = zip(*(outcome.result() for outcome in outcomes), strict=True)
    return find_cutoff_ms(np.concatenate(minutes), np.concatenate(sessions), rule.split.holdout)


def _check_sides(counts: Mapping[str, int], split: Split) -> None:
    sessions, heldout = counts["sessions"], counts["heldout_sessions"]
    if 0 < heldout < sessions:
        return
    share = f" and holdout {split.holdout}" if KINDS[split.kind].has_share else ""
    raise SplitError(
        f"split {split.kind}{share} holds out {heldout:,} of {sessions:,} sessions; both sides need at least one: "
        "ingest more sessions or change split.kind and split.holdout"
    )


def _assemble(folder: Path, catalogue: int | None, feedback: Feedback) -> None:
    """Join the buckets' files into the arrays and tables of a dataset, in order of ids, one bucket in memory at a time.

    Raises:
        SplitError: There is nothing to learn from, or too much for one matrix.
        OSError: The disk is full.
    """
    users = np.sort(_read(folder, "listeners")["user"].to_numpy())
    if len(users) < 2:
        raise SplitError("all is of one listener; recommendations are learned from what many heard")
    known = np.unique(_read(folder, "tracks")["track"].to_numpy())
    tracks = known if catalogue is None else np.arange(catalogue)
    for side in ("train", "total"):
        interactions = _write_matrix(folder, side, users, tracks, is_log=feedback.scale == "log")
        if not interactions:
            raise SplitError(
                f"no training session has listening time that counts (feedback.organic {feedback.organic}, "
                f"feedback.min_time {feedback.min_time}); at least one interaction is needed"
            )
        if feedback.skip_time:
            _write_matrix(folder, f"{side}_skips", users, tracks, is_log=False)
    _write_tables(folder, users, tracks)
    _save(folder / "users.npy", users)
    _save(folder / "tracks.npy", tracks)
    for file in folder.glob("*-*.parquet"):
        file.unlink()


def _write_tables(folder: Path, users: IntArray, tracks: IntArray) -> None:
    """Write held-out listening (by row, then column), held-out sessions (by row), and lengths of sessions."""
    heard = _read(folder, "heldout")
    rows, columns = _positions(heard, users, tracks)
    order = np.lexsort((columns, rows))
    heldout = {"user": rows[order], "track": columns[order], "time": heard["time"].to_numpy()[order]}
    pq.write_table(pa.table(heldout), folder / "heldout.parquet")
    if _files(folder, "logged"):
        events = _read(folder, "logged")
        rows, columns = _positions(events, users, tracks)
        events = events.set_column(0, "user", pa.array(rows)).set_column(2, "track", pa.array(columns))
        pq.write_table(events.take(np.argsort(rows, kind="stable")), folder / "logged.parquet")
    lengths = _read(folder, "lengths").group_by("length").aggregate([("sessions", "sum")])
    pq.write_table(lengths.rename_columns(["length", "sessions"]).sort_by("length"), folder / "lengths.parquet")


def _write_matrix(folder: Path, column: str, users: IntArray, tracks: IntArray, *, is_log: bool) -> int:
    """Write a CSR matrix of the positive values of a column; returns how many there are."""
    counts = np.zeros(len(users), dtype=np.int64)
    for file in _files(folder, "interactions"):
        rows, _, _ = _read_column(file, column, users, tracks)
        counts += np.bincount(rows, minlength=len(users))
    indptr = np.concatenate([[0], counts.cumsum()])
    size = int(indptr[-1])
    # scipy wants indptr and indices of one type; implicit's solver takes 32 bits.
    if size > np.iinfo(np.int32).max:
        raise SplitError(f"{size:,} interactions; at most {np.iinfo(np.int32).max:,} fit into one matrix")
    _save(folder / f"{column}-indptr.npy", indptr.astype(np.int32))
    indices = new_array(folder / f"{column}-indices.npy", np.int32, (size,))
    values = new_array(folder / f"{column}-values.npy", np.float32, (size,))
    for file in _files(folder, "interactions"):
        rows, columns, sums = _read_column(file, column, users, tracks)
        # The values of a row are together and in order, so its n-th goes n positions after its first.
        distinct, first, count = np.unique(rows, return_index=True, return_counts=True)
        position = np.arange(len(rows)) + np.repeat(indptr[distinct] - first, count)
        indices[position] = columns
        values[position] = np.log1p(sums) if is_log else sums
    return size


def _read_column(
    file: Path, column: str, users: IntArray, tracks: IntArray
) -> tuple[AnyIntArray, AnyIntArray, Float32Array]:
    """Read rows, columns and positive values of one bucket, by row, then column."""
    table = pq.read_table(file, columns=["user", "track", column])
    table = table.filter(pa.array(table[column].to_numpy() > 0))
    return *_positions(table, users, tracks), table[column].to_numpy()


def _positions(table: pa.Table, users: IntArray, tracks: IntArray) -> tuple[AnyIntArray, AnyIntArray]:
    """Find the row of each user and the column of each track."""
    return np.searchsorted(users, table["user"].to_numpy()), np.searchsorted(tracks, table["track"].to_numpy())


def _files(folder: Path, kind: Kind) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*.parquet"))


def _read(folder: Path, kind: Kind) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in _files(folder, kind))


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    new_array(file, array.dtype.type, array.shape)[:] = array


def _write_summary(folder: Path, digest: str, counts: dict[str, int]) -> None:
    """Write the summary of the arrays in a folder, with the counts of events and sessions."""
    indptr = np.load(folder / "train-indptr.npy")
    summary = Summary(
        digest=digest,
        listeners=len(indptr) - 1,
        tracks=len(np.load(folder / "tracks.npy", mmap_mode="r")),
        interactions=int(indptr[-1]),
        training_listeners=int(np.count_nonzero(np.diff(indptr))),
        **counts,
        files={file.name: sha256_file(file) for file in sorted(folder.iterdir())},
    )
    atomic_write_json(folder / SUMMARY, seal(summary))
