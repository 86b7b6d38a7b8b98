"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from looplib.files import atomic_directory, remove_leftovers
from recsys.cluster.cluster import Cluster
from recsys.config import SearchConfig
from recsys.dataset.arrays import assemble
from recsys.dataset.buckets import COUNTS, StoredBucket, count_starts, prepare_bucket
from recsys.dataset.dataset import PIECES, Dataset, Report, dataset_digest, open_dataset, write_summary
from recsys.dataset.split import SplitRule, find_cutoff_ms, split_rule
from recsys.errors import SplitError
from recsys.store.remote import Store
from recsys.workspace import Workspace, open_workspace


def build_dataset(store: Store, config: SearchConfig, cluster: Cluster, report: Report) -> Dataset:
    """Open the dataset of a search; where it is not cached, make it first with a task for each bucket.

    Args:
        store: The session store; datasets are kept in its folder `cache`.
        config: Has the split, the feedback and the seed.
        cluster: Runs the buckets.
        report: Called with the percentage that is done, and a note.

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
        for bucket in range(store.manifest.buckets)
        if (parts := store.bucket_parts(bucket))
    ]
    rule = split_rule(store, config)
    rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    with atomic_directory(cached.folder) as folder, _pieces(config) as pieces:
        tasks = [(bucket, pieces.address, rule, config.feedback, config.validation.organic) for bucket in buckets]
        counts = dict.fromkeys(COUNTS, 0)
        for done, outcome in enumerate(cluster.run(prepare_bucket, tasks), start=1):
            of_bucket = outcome.result()
            counts = {name: count + of_bucket[name] for name, count in counts.items()}
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        _check_sides(counts, config)
        pieces.download(*pieces.names())
        for file in pieces.folder.iterdir():
            shutil.move(file, folder / file.name)
        assemble(folder, [bucket.number for bucket in buckets], store.catalogue_size, config.feedback)
        write_summary(folder, digest, counts)
    cached.upload_all()
    report(100, "built")
    return open_dataset(cached.address)


@contextmanager
def _pieces(config: SearchConfig) -> Iterator[Workspace]:
    """Make the folder in the run where the workers leave the buckets' files."""
    run = open_workspace(config.run)
    run.delete(PIECES)
    try:
        yield run.sub(PIECES)
    finally:
        run.delete(PIECES)


def _cutoff_ms(buckets: Sequence[StoredBucket], rule: SplitRule, cluster: Cluster) -> int | None:
    if rule.split.kind != "time":
        return None
    calls = [(bucket, rule) for bucket in buckets]
    starts = [outcome.result() for outcome in cluster.run(count_starts, calls)]
    minutes, sessions = (np.concatenate(arrays) for arrays in zip(*starts, strict=True))
    return find_cutoff_ms(minutes, sessions, rule.split.holdout)


def _check_sides(counts: Mapping[str, int], config: SearchConfig) -> None:
    sessions, heldout = counts["sessions"], counts["heldout_sessions"]
    if 0 < heldout < sessions:
        return
    has_share = config.split.kind in ("session_hash", "time")
    share = f" and holdout {config.split.holdout}" if has_share else ""
    raise SplitError(
        f"split {config.split.kind}{share} holds out {heldout:,} of {sessions:,} sessions; both sides need at least "
        "one: ingest more sessions or change split.kind and split.holdout"
    )
