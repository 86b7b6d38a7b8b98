"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

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
from recsys.dataset.buckets import BucketSummary
from recsys.dataset.dataset import PIECES, SUMMARY, Dataset, Report, Summary, dataset_digest, open_dataset
from recsys.dataset.split import SplitRule, find_cutoff_ms, split_rule
from recsys.errors import SplitError
from recsys.mirror import drop, fetch_below, fetch_folder, forget_below, give_folder, temporary_in
from recsys.places import Mirrored
from recsys.store.manifest import Store


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
