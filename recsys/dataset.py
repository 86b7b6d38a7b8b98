"""The training data of a search: interactions as memory-mapped sparse arrays, cached beside the store.

A dataset is a folder, written whole or not at all, under a digest of what it follows from (store, split, feedback)::

    dataset.json          counts and the digest
    users.npy, tracks.npy the ids behind the rows and columns, int64, ascending
    train-*.npy           interactions of the training sessions, CSR: indptr, indices, values
    total-*.npy           interactions of all sessions, likewise
    heldout.parquet       what was heard in the held-out sessions: row ("user"), column ("track"), time

Workers map the arrays into memory, so that the processes of a machine share one copy.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from common.files import atomic_directory, remove_leftovers
from recsys import interactions
from recsys.cluster import Cluster
from recsys.config import Feedback, SearchConfig
from recsys.errors import SplitError
from recsys.interactions import BucketSummary, SplitRule
from recsys.splitting import file_sides, split_rule
from recsys.store import Store

SCHEMA = 1
Side = Literal["train", "total"]
Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Summary:
    """What a dataset holds.

    Attributes:
        digest: Names the dataset; equal digests mean equal bytes.
        listeners: Listeners of the log, rows of the matrices.
        tracks: Tracks of the catalogue (of the log where the catalogue is unknown), columns of the matrices.
        interactions: Stored values of the training matrix.
        training_listeners: Listeners with at least one training interaction.
        events: Events of the store.
        heldout_events: Those in held-out sessions.
        sessions: Sessions of the store.
        heldout_sessions: Held-out ones.
    """

    digest: str
    listeners: int
    tracks: int
    interactions: int
    training_listeners: int
    events: int
    heldout_events: int
    sessions: int
    heldout_sessions: int


@dataclass(frozen=True)
class Dataset:
    """An opened dataset; rows are listeners, columns are tracks."""

    path: Path
    summary: Summary
    users: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]

    def matrix(self, side: Side) -> csr_matrix:
        """The interactions of one side, float32, shape (listeners, tracks), mapped from disk."""
        # Copy on write: the solver refuses read-only memory, and does not write.
        values, indices, indptr = (
            np.load(self.path / f"{side}-{name}.npy", mmap_mode="c") for name in ("values", "indices", "indptr")
        )
        return csr_matrix((values, indices, indptr), shape=(len(self.users), len(self.tracks)), copy=False)

    @property
    def heldout(self) -> Path:
        """The held-out listening: user and track as rows and columns of the matrices, and time."""
        return self.path / "heldout.parquet"

    def popularity(self) -> npt.NDArray[np.int64]:
        """How many listeners each track has in the training interactions; shape (tracks,)."""
        indices = np.load(self.path / "train-indices.npy", mmap_mode="r")
        return np.bincount(indices, minlength=len(self.tracks))

    def most_popular(self, side: Side, k: int) -> npt.NDArray[np.int32]:
        """The k tracks with the most listening time, as columns, best first; of equals the first column."""
        indices, values = (np.load(self.path / f"{side}-{name}.npy", mmap_mode="r") for name in ("indices", "values"))
        listening_time = np.bincount(indices, weights=values, minlength=len(self.tracks))
        return np.argsort(-listening_time, kind="stable")[:k].astype(np.int32)


@lru_cache(maxsize=2)
def open_dataset(path: Path) -> Dataset:
    """Opens a dataset; the same process opens it once."""
    summary = Summary(**orjson.loads((path / "dataset.json").read_bytes()))
    return Dataset(path, summary, np.load(path / "users.npy"), np.load(path / "tracks.npy"))


def dataset_digest(store: Store, config: SearchConfig) -> str:
    """The digest of everything that a search's dataset follows from."""
    facts = {
        "schema": SCHEMA,
        "store": store.digest,
        "tracks": store.catalogue.tracks if store.catalogue else None,
        "seed": config.seed,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "heldout_organic": config.validation.organic,
        "files": file_sides(store, config.split),
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def build_dataset(store: Store, config: SearchConfig, cluster: Cluster, report: Report) -> Dataset:
    """Opens the dataset of a search, making it first where it is not cached: a task for each bucket.

    Args:
        store: The session store; datasets are kept in its folder `cache`.
        config: Whose split, feedback and seed count.
        cluster: Runs the buckets.
        report: Called with how much of the work is done, in percent, and a word about it.

    Raises:
        SplitError: One side of the split is empty.
    """
    digest = dataset_digest(store, config)
    path = store.path / "cache" / digest
    if path.exists():
        report(100, "cached")
        return open_dataset(path)
    path.parent.mkdir(exist_ok=True)
    remove_leftovers(path.parent)
    buckets = [(bucket, parts) for bucket in range(store.buckets) if (parts := store.bucket_files(bucket))]
    rule = split_rule(store, config)
    rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    with atomic_directory(path) as folder:
        tasks = [(bucket, parts, folder, rule, config.feedback, config.validation.organic) for bucket, parts in buckets]
        bucket_summaries = []
        for outcome in cluster.run(interactions.prepare_bucket, tasks):
            bucket_summaries.append(outcome.result())
            done = len(bucket_summaries)
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        _check_sides(bucket_summaries, config)
        catalogue = store.catalogue.tracks if store.catalogue else None
        _assemble(folder, [bucket for bucket, _ in buckets], catalogue, config.feedback, digest, bucket_summaries)
    report(100, "built")
    return open_dataset(path)


def _cutoff_ms(buckets: Sequence[tuple[int, list[Path]]], rule: SplitRule, cluster: Cluster) -> int | None:
    if rule.split.kind != "time":
        return None
    calls = [(parts, rule) for _, parts in buckets]
    starts = [outcome.result() for outcome in cluster.run(interactions.count_starts, calls)]
    minutes, sessions = (np.concatenate(arrays) for arrays in zip(*starts, strict=True))
    return interactions.find_cutoff_ms(minutes, sessions, rule.split.holdout)


def _check_sides(summaries: Sequence[BucketSummary], config: SearchConfig) -> None:
    sessions = sum(summary.sessions for summary in summaries)
    heldout = sum(summary.heldout_sessions for summary in summaries)
    if 0 < heldout < sessions:
        return
    has_share = config.split.kind in ("session_hash", "time")
    share = f" and holdout {config.split.holdout}" if has_share else ""
    raise SplitError(
        f"split {config.split.kind}{share} holds out {heldout:,} of {sessions:,} sessions; both sides need at least "
        "one: ingest more sessions or change split.kind and split.holdout"
    )


def _assemble(
    folder: Path,
    buckets: Sequence[int],
    catalogue: int | None,
    feedback: Feedback,
    digest: str,
    summaries: Sequence[BucketSummary],
) -> None:
    """Joins the buckets' files into arrays in the order of ids, one bucket in memory at a time."""
    listeners = [pq.read_table(interactions.listeners_file(folder, bucket))["user"].to_numpy() for bucket in buckets]
    users = np.sort(np.concatenate(listeners))
    tracks = np.arange(catalogue) if catalogue is not None else _distinct_tracks(folder, buckets)
    for side in ("train", "total"):
        _write_matrix(folder, side, buckets, users, tracks, feedback)
    pq.write_table(_heldout_table(folder, buckets, users, tracks), folder / "heldout.parquet")
    _save(folder / "users.npy", users)
    _save(folder / "tracks.npy", tracks)
    indptr = np.load(folder / "train-indptr.npy")
    summary = Summary(
        digest=digest,
        listeners=len(users),
        tracks=len(tracks),
        interactions=int(indptr[-1]),
        training_listeners=int(np.count_nonzero(np.diff(indptr))),
        events=sum(each.events for each in summaries),
        heldout_events=sum(each.heldout_events for each in summaries),
        sessions=sum(each.sessions for each in summaries),
        heldout_sessions=sum(each.heldout_sessions for each in summaries),
    )
    if not summary.interactions:
        raise SplitError(
            f"no training session has listening time that counts (feedback.organic {feedback.organic}, "
            f"feedback.min_time {feedback.min_time}); at least one interaction is needed"
        )
    (folder / "dataset.json").write_bytes(orjson.dumps(asdict(summary), option=orjson.OPT_INDENT_2))
    for file in folder.glob("*-[0-9][0-9][0-9].parquet"):
        file.unlink()


def _heldout_table(
    folder: Path, buckets: Sequence[int], users: npt.NDArray[np.int64], tracks: npt.NDArray[np.int64]
) -> pa.Table:
    """The held-out listening of all buckets, by row, then column."""
    heard = pa.concat_tables(pq.read_table(interactions.heldout_file(folder, bucket)) for bucket in buckets)
    rows = np.searchsorted(users, heard["user"].to_numpy())
    columns = np.searchsorted(tracks, heard["track"].to_numpy())
    order = np.lexsort((columns, rows))
    return pa.table({"user": rows[order], "track": columns[order], "time": heard["time"].to_numpy()[order]})


def _distinct_tracks(folder: Path, buckets: Sequence[int]) -> npt.NDArray[np.int64]:
    tables = (pq.read_table(interactions.tracks_file(folder, bucket)) for bucket in buckets)
    return np.unique(np.concatenate([table["track"].to_numpy() for table in tables]))


def _write_matrix(
    folder: Path,
    side: Side,
    buckets: Sequence[int],
    users: npt.NDArray[np.int64],
    tracks: npt.NDArray[np.int64],
    feedback: Feedback,
) -> None:
    counts = np.zeros(len(users), dtype=np.int64)
    for bucket in buckets:
        rows, _, _ = _read_side(folder, side, bucket, users, tracks)
        counts += np.bincount(rows, minlength=len(users))
    indptr = np.concatenate([[0], counts.cumsum()])
    size = int(indptr[-1])
    # scipy wants indptr and indices of one type; implicit's solver takes 32 bits.
    if size > np.iinfo(np.int32).max:
        raise SplitError(f"{size:,} interactions; at most {np.iinfo(np.int32).max:,} fit into one matrix")
    _save(folder / f"{side}-indptr.npy", indptr.astype(np.int32))
    indices = _new_array(folder / f"{side}-indices.npy", np.int32, size)
    values = _new_array(folder / f"{side}-values.npy", np.float32, size)
    for bucket in buckets:
        rows, columns, sums = _read_side(folder, side, bucket, users, tracks)
        # The rows of a listener are together and ascending, so its n-th row goes n places after its first.
        distinct, first, count = np.unique(rows, return_index=True, return_counts=True)
        place = np.arange(len(rows)) + np.repeat(indptr[distinct] - first, count)
        indices[place] = columns
        values[place] = np.log1p(sums) if feedback.scale == "log" else sums
    indices.flush()
    values.flush()


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    mapped = _new_array(file, array.dtype.type, len(array))
    mapped[:] = array
    mapped.flush()


def _new_array(file: Path, dtype: type[np.generic], size: int) -> "np.memmap[Any, np.dtype[Any]]":
    """A new array file, mapped for writing, with its place on the disk taken.

    Raises:
        OSError: The disk is full; without the reservation, writing to the map would kill the process instead.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=(size,))
    with file.open("r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return mapped


def _read_side(
    folder: Path, side: Side, bucket: int, users: npt.NDArray[np.int64], tracks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Rows, columns and listening times of one bucket, by row, then column."""
    table = pq.read_table(interactions.interactions_file(folder, bucket), columns=["user", "track", side])
    sums = table[side].to_numpy()
    heard = sums > 0
    rows = np.searchsorted(users, table["user"].to_numpy()[heard])
    columns = np.searchsorted(tracks, table["track"].to_numpy()[heard])
    return rows, columns, sums[heard]
