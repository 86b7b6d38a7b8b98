"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson

from looplib.files import atomic_directory, remove_leftovers
from recsys.cluster.cluster import Cluster
from recsys.config import SearchConfig
from recsys.dataset import buckets as interactions
from recsys.dataset.arrays import Sizes, assemble
from recsys.dataset.buckets import BucketSummary, StoredBucket
from recsys.dataset.dataset import PIECES, SUMMARY, Dataset, Report, Summary, dataset_digest, open_dataset
from recsys.dataset.split import SplitRule, find_cutoff_ms, split_rule
from recsys.errors import SplitError
from recsys.store.remote import Store
from recsys.workspace import Workspace, open_workspace


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
    cache = store.workspace.sub("cache")
    cached = cache.sub(digest)
    if cached.download_all():
        report(100, "cached")
        return open_dataset(cached.address)
    cache.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(cache.folder)
    address = store.workspace.address
    buckets = [
        StoredBucket(address, bucket, tuple(parts))
        for bucket in range(store.buckets)
        if (parts := store.bucket_parts(bucket))
    ]
    rule = split_rule(store, config)
    rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    with atomic_directory(cached.folder) as folder, _pieces(config) as pieces:
        tasks = [(bucket, pieces.address, rule, config.feedback, config.validation.organic) for bucket in buckets]
        bucket_summaries = []
        for outcome in cluster.run(interactions.prepare_bucket, tasks):
            bucket_summaries.append(outcome.result())
            done = len(bucket_summaries)
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        _check_sides(bucket_summaries, config)
        _collect(pieces, folder)
        catalogue = store.catalogue.tracks if store.catalogue else None
        sizes = assemble(folder, [bucket.number for bucket in buckets], catalogue, config.feedback)
        _write_summary(folder, digest, sizes, bucket_summaries)
    cached.upload_all()
    report(100, "built")
    return open_dataset(cached.address)


@contextmanager
def _pieces(config: SearchConfig) -> Iterator[Workspace]:
    """Make the folder in the run where the workers leave the buckets' files."""
    pieces = open_workspace(config.run).sub(PIECES)
    pieces.delete_all()
    try:
        yield pieces
    finally:
        pieces.delete_all()


def _collect(pieces: Workspace, folder: Path) -> None:
    """Move the buckets' files into the dataset's folder."""
    pieces.download(*pieces.names())
    for file in pieces.folder.iterdir():
        shutil.move(file, folder / file.name)


def _cutoff_ms(buckets: Sequence[StoredBucket], rule: SplitRule, cluster: Cluster) -> int | None:
    if rule.split.kind != "time":
        return None
    calls = [(bucket, rule) for bucket in buckets]
    starts = [outcome.result() for outcome in cluster.run(interactions.count_starts, calls)]
    minutes, sessions = (np.concatenate(arrays) for arrays in zip(*starts, strict=True))
    return find_cutoff_ms(minutes, sessions, rule.split.holdout)


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
