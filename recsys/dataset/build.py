"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from looplib.files import atomic_directory, remove_leftovers
from recsys.cluster.cluster import Cluster
from recsys.config import SearchConfig
from recsys.dataset.arrays import assemble
from recsys.dataset.buckets import COUNTS, count_starts, prepare_bucket
from recsys.dataset.dataset import PIECES, Dataset, Report, dataset_digest, open_dataset, write_summary
from recsys.dataset.split import SplitRule, find_cutoff_ms, split_rule
from recsys.errors import SplitError
from recsys.mirror import drop, fetch_below, fetch_folder, forget_below, give_folder, temporary_in
from recsys.places import Mirrored
from recsys.store.manifest import Store


def build_dataset(store: Store, config: SearchConfig, cluster: Cluster, report: Report) -> Dataset:
    """Open the dataset of a search; where it is not cached, make it first with a task for each bucket.

    Args:
        store: The session store; datasets are kept in its folder `cache`.
        config: Has the split, the feedback and the seed.
        cluster: Runs the buckets.
        report: Called with the share that is done, in percent, and a note.

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
        counts = dict.fromkeys(COUNTS, 0)
        for done, outcome in enumerate(cluster.run(prepare_bucket, tasks), start=1):
            of_bucket = outcome.result()
            counts = {name: count + of_bucket[name] for name, count in counts.items()}
            report(95 * done / len(tasks), f"{done} of {len(tasks)} buckets")
        _check_sides(counts, config)
        _collect(pieces, folder)
        catalogue = store.catalogue.tracks if store.catalogue else None
        assemble(folder, [bucket for bucket, _ in buckets], catalogue, config.feedback)
        write_summary(folder, digest, counts)
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
