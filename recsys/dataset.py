"""The training data of a search: interactions as memory-mapped sparse arrays, cached beside the store.

A dataset is a folder, written whole or not at all, under a digest of what it follows from (store, split, feedback)::

    dataset.json          counts and the digest
    users.npy, tracks.npy the ids behind the rows and columns, int64, ascending
    train-*.npy           interactions of the training sessions, CSR: indptr, indices, values
    total-*.npy           interactions of all sessions, likewise
    …_skips-*.npy         numbers of skips of either, likewise; where feedback.skip_time says what a skip is
    heldout.parquet       what was heard in the held-out sessions: row ("user"), column ("track"), time
    logged.parquet        the held-out sessions event by event, with propensities; none of a store of interactions
    lengths.parquet       how many sessions have each length in tracks

Workers map the arrays into memory, so that the processes of a machine share one copy.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from common.files import atomic_directory, remove_leftovers
from recsys import interactions
from recsys.assembling import Sizes, assemble
from recsys.cluster import Cluster
from recsys.config import SearchConfig
from recsys.errors import SplitError
from recsys.interactions import BucketSummary, SplitRule
from recsys.mirror import drop, fetch_below, fetch_folder, forget_below, give_folder, temporary_in
from recsys.places import Mirrored
from recsys.splitting import file_sides, split_rule
from recsys.store import Store

SCHEMA = 2  # 1 had neither logged sessions nor lengths
SUMMARY = "dataset.json"
PIECES = "pieces"  # in a run's folder at an address, what its workers hand over
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
        return self._mapped(side)

    def skips(self, side: Side) -> csr_matrix | None:
        """How often each listener skipped each track, likewise; None where nobody said what a skip is."""
        return self._mapped(f"{side}_skips") if (self.path / f"{side}_skips-indptr.npy").exists() else None

    def _mapped(self, name: str) -> csr_matrix:
        # Copy on write: the solver refuses read-only memory, and does not write.
        values, indices, indptr = (
            np.load(self.path / f"{name}-{array}.npy", mmap_mode="c") for array in ("values", "indices", "indptr")
        )
        return csr_matrix((values, indices, indptr), shape=(len(self.users), len(self.tracks)), copy=False)

    @property
    def heldout(self) -> Path:
        """The held-out listening: user and track as rows and columns of the matrices, and time."""
        return self.path / "heldout.parquet"

    @property
    def logged(self) -> Path:
        """The held-out sessions in the columns of `offpolicy/heldout_events`, likewise; missing without events."""
        return self.path / "logged.parquet"

    def session_lengths(self) -> dict[int, int]:
        """How many sessions have each length in tracks, shortest first; empty of a sample of the listeners."""
        file = self.path / "lengths.parquet"
        if not file.exists():
            return {}
        table = pq.read_table(file)
        return dict(zip(table["length"].to_pylist(), table["sessions"].to_pylist(), strict=True))

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
    """Opens a dataset, fetched where it is at an address; the same process opens it once."""
    fetch_folder(path)
    summary = Summary(**orjson.loads((path / SUMMARY).read_bytes()))
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
    root = store.path.absolute()  # workers of other machines have another current folder
    path = root / "cache" / digest
    if fetch_folder(path):
        report(100, "cached")
        return open_dataset(path)
    path.parent.mkdir(exist_ok=True)
    remove_leftovers(path.parent)
    drop(path)
    store = replace(store, path=root)
    buckets = [(bucket, parts) for bucket in range(store.buckets) if (parts := store.bucket_files(bucket))]
    rule = split_rule(store, config)
    rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    with atomic_directory(path) as folder, _pieces(folder, config) as pieces:
        tasks = [(bucket, parts, pieces, rule, config.feedback, config.validation.organic) for bucket, parts in buckets]
        bucket_summaries = []
        for outcome in cluster.run(interactions.prepare_bucket, tasks):
            bucket_summaries.append(outcome.result())
            done = len(bucket_summaries)
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        _check_sides(bucket_summaries, config)
        _collect(pieces, folder)
        catalogue = store.catalogue.tracks if store.catalogue else None
        sizes = assemble(folder, [bucket for bucket, _ in buckets], catalogue, config.feedback)
        _write_summary(folder, digest, sizes, bucket_summaries)
    give_folder(path)
    report(100, "built")
    return open_dataset(path)


@contextmanager
def _pieces(folder: Path, config: SearchConfig) -> Iterator[Path]:
    """Where the workers leave the buckets' files: the dataset's folder, or the run's where it has an address."""
    if not isinstance(folder, Mirrored):
        yield folder
        return
    pieces = temporary_in(config.run.absolute() / PIECES)
    try:
        yield pieces
    finally:
        forget_below(pieces)


def _collect(pieces: Path, folder: Path) -> None:
    """Brings the buckets' files into the dataset's folder."""
    if pieces == folder:
        return
    fetch_below(pieces)
    for file in pieces.iterdir():
        file.rename(folder / file.name)


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


def _write_summary(folder: Path, digest: str, sizes: Sizes, summaries: Sequence[BucketSummary]) -> None:
    summary = Summary(
        digest=digest,
        **asdict(sizes),
        events=sum(each.events for each in summaries),
        heldout_events=sum(each.heldout_events for each in summaries),
        sessions=sum(each.sessions for each in summaries),
        heldout_sessions=sum(each.heldout_sessions for each in summaries),
    )
    (folder / SUMMARY).write_bytes(orjson.dumps(asdict(summary), option=orjson.OPT_INDENT_2))
