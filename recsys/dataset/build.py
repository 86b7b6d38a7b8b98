"""Build a dataset from a session store: each bucket is prepared on the cluster, then all are joined."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.store import Part
from looplib.files import atomic_directory, digest_of, remove_leftovers
from recsys.cluster.cluster import Cluster
from recsys.config import SearchConfig
from recsys.dataset.arrays import assemble
from recsys.dataset.buckets import COUNTS, count_starts, prepare_bucket
from recsys.dataset.dataset import PIECES, SCHEMA, Dataset, open_dataset, write_summary
from recsys.dataset.split import KINDS, Split, SplitRule, file_sides, find_cutoff_ms, split_rule
from recsys.errors import SplitError
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
    """Open the dataset of a search; where it is not cached, make it first with a task for each bucket.

    Args:
        store: The session store; datasets are kept in its folder `cache`.
        config: Has the split, the feedback and the seed.
        cluster: Runs the buckets.
        report: Called with the percentage that is done, and a note.

    Raises:
        SplitError: The store lacks what the split or the feedback needs, or one side of the split is empty.
    """
    digest = dataset_digest(store, config)
    cache = store.workspace.sub("cache")
    cached = cache.sub(digest)
    if cached.download_all():
        report(100, "cached")
        return open_dataset(cached.address)
    _check_needs(store, config)
    cache.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(cache.folder)
    found = (tuple(store.bucket_parts(bucket)) for bucket in range(store.manifest.buckets))
    buckets = [(store.workspace.address, parts) for parts in found if parts]
    rule = split_rule(store, config.split, config.seed)
    if rule.needs_cutoff:
        rule = replace(rule, cutoff_ms=_cutoff_ms(buckets, rule, cluster))
    run = open_workspace(config.run)
    shared = (run.sub(PIECES).address, rule, config.feedback, config.validation.organic)
    with atomic_directory(cached.folder) as folder:
        counts = _prepare([(*bucket, *shared) for bucket in buckets], run, folder, cluster, report)
        _check_sides(counts, config.split)
        assemble(folder, store.catalogue_size, config.feedback)
        write_summary(folder, digest, counts)
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


def _check_needs(store: Store, config: SearchConfig) -> None:
    """Refuse what only event logs tell where the store holds interactions."""
    feedback = config.feedback
    wanted = {
        "feedback.organic: false": not feedback.organic,
        "validation.organic: false": not config.validation.organic,
        "feedback.skip_time": feedback.skip_time,
    }
    refused = next((setting for setting, is_wanted in wanted.items() if is_wanted), None)
    if refused and store.manifest.interactions:
        raise SplitError(f"{refused} needs event logs, and {store.workspace} holds interactions")


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
