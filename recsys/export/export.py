"""Refit a run's winner on all sessions and publish what the service loads.

A published version is a folder of its own that is renamed into place whole; `current` then points to it, in one step.
Earlier versions stay for rollback. Of a store with text ids the files have these in place of the numbers::

    current -> versions/<model id>
    versions/<model id>/recommendations.jsonl   {"user": 7, "tracks": [30 track ids, best first]}
    versions/<model id>/neighbours.jsonl        {"track": 3, "recommendations": [the nearest tracks, nearest first]}
    versions/<model id>/factors.npz             users, user_factors, tracks, item_factors
    versions/<model id>/context.npz             the context model, where the search's configuration has a section for it
    versions/<model id>/manifest.json           what it is, and the sha256 of the other files
"""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import orjson

from looplib.arrays import Int32Array
from looplib.files import TEMPORARY_PREFIX, atomic_directory, fsync_directory, remove_leftovers, sha256_file
from looplib.progress import progress
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster, usable_cores
from recsys.config import ContextConfig, ExportConfig, SearchConfig
from recsys.dataset.dataset import PIECES, SUMMARY, Dataset, Side, dataset_digest, open_dataset
from recsys.errors import ExportError
from recsys.models.als import Als
from recsys.models.params import Fit
from recsys.models.topk import NO_TRACK, nearest_tracks
from recsys.runs.folder import Winner, read_run
from recsys.scoring.lists import personal_lists, without_interactions
from recsys.session_model.export import CONTEXT, write_context
from recsys.store.ids import originals
from recsys.store.remote import Store, open_store
from recsys.workspace import Workspace, open_workspace

SCHEMA = 1
RECOMMENDATIONS = "recommendations.jsonl"
NEIGHBOURS = "neighbours.jsonl"
FACTORS = "factors.npz"
MANIFEST = "manifest.json"
CURRENT = "current"
_LIBRARIES = ("implicit", "numpy", "scipy", "dask", "distributed", "duckdb", "pyarrow")


def export_run(
    run_address: str | Path, out_address: str | Path, options: ExportConfig, store_address: str | Path | None = None
) -> str:
    """Refits a run's winner, on all sessions unless the options say otherwise, and publishes it.

    Args:
        run_address: Path or address of a finished run.
        out_address: Path or address of the folder of published versions.
        options: What to publish.
        store_address: The session store; by default where the search read it.

    Returns:
        The address of the version, by way of `current`; at s3:// and the like, which have no links, its own.

    Raises:
        UserError: The run is not finished, or the store is not the one that the search read.
    """
    run, out = open_workspace(run_address), open_workspace(out_address)
    config, winner = read_run(run)
    store = open_store(store_address or config.store)
    dataset = _dataset_of(store, config, winner, run)
    if options.learn_from == "training":  # the context model knows no held-out sessions
        config = config.model_copy(update={"context": None})
    model_id = _model_id(winner, options, config.context)
    version = out.sub(f"versions/{model_id}")
    if not version.download_all():
        version.folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(version.folder.parent)
        with _scratch(run) as scratch, atomic_directory(version.folder) as folder:
            _write_version(folder, model_id, dataset, store, config, winner, options, scratch)
        version.upload_all()
    return _point_current(out, version)


@contextmanager
def _scratch(run: Workspace) -> Iterator[Workspace]:
    """Name a folder in the run, which the workers of a refit see as they saw the search's."""
    scratch = run.sub(f"{PIECES}/{uuid4().hex}")
    try:
        yield scratch
    finally:
        scratch.delete_all()


def _dataset_of(store: Store, config: SearchConfig, winner: Winner, run: Workspace) -> Dataset:
    cached = store.workspace.sub(f"cache/{winner.dataset}")
    if dataset_digest(store, config) != winner.dataset:
        raise ExportError(
            f"{store.workspace}: not the store that {run} was searched on, or it has grown since; search again"
        )
    if not cached.download_all():
        raise ExportError(f"{cached}: the dataset of {run} is gone; search again")
    return open_dataset(cached.address)


def _model_id(winner: Winner, options: ExportConfig, context: ContextConfig | None) -> str:
    facts = {"trial": winner.trial.id, "sweeps": winner.sweeps, "options": options.model_dump(mode="json")}
    if context is not None:
        facts["context"] = context.model_dump(mode="json", exclude={"catalogue"}) | {
            "artists": context.catalogue is not None
        }
    return f"als-{hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]}"


def _write_version(
    folder: Path,
    model_id: str,
    dataset: Dataset,
    store: Store,
    config: SearchConfig,
    winner: Winner,
    options: ExportConfig,
    scratch: Workspace,
) -> None:
    threads = usable_cores()
    side: Side = "train" if options.learn_from == "training" else "total"
    model = _refit(dataset, side, winner, config, scratch)
    lists = personal_lists(model, dataset, side, options.top, threads, filter_seen=options.filter_seen)
    neighbours = nearest_tracks(model.item_factors, options.neighbours, threads)
    users, tracks = originals(store, "users", dataset.users), originals(store, "items", dataset.tracks)
    rows = {
        RECOMMENDATIONS: _write_lines(folder / RECOMMENDATIONS, "user", "tracks", users, tracks, lists),
        NEIGHBOURS: _write_lines(folder / NEIGHBOURS, "track", "recommendations", tracks, tracks, neighbours),
    }
    np.savez(
        folder / FACTORS,
        users=users,
        user_factors=model.user_factors,
        tracks=tracks,
        item_factors=model.item_factors,
    )
    context = None
    if config.context is not None:
        context = write_context(folder, store, config.context, winner.trial.seed, threads)
    files = (RECOMMENDATIONS, NEIGHBOURS, FACTORS, *((CONTEXT,) if context else ()))
    manifest = {
        "schema": SCHEMA,
        "model": model_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {"kind": "als", **asdict(winner.trial.params), "sweeps": winner.sweeps},
        "seed": winner.trial.seed,
        "metrics": {
            key: dict(zip(("value", "lower", "upper"), ends, strict=True)) for key, ends in winner.metrics.items()
        },
        "selected_by": winner.select,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "data": _data_facts(store, dataset) | {"learned_from": options.learn_from},
        "lists": _list_facts(lists, dataset, side, options),
        "context": context,
        "files": {
            file: {
                "sha256": sha256_file(folder / file),
                "bytes": (folder / file).stat().st_size,
                "rows": rows.get(file),
            }
            for file in files
        },
        "versions": {
            "python": platform.python_version(),
            **{library: importlib.metadata.version(library) for library in _LIBRARIES},
        },
    }
    (folder / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def _refit(dataset: Dataset, side: Side, winner: Winner, config: SearchConfig, scratch: Workspace) -> Fit:
    """The winner's fit on all sessions or on the training ones; in blocks where the search's were."""
    trial = winner.trial
    with progress(f"Refit on {'all' if side == 'total' else 'training'} sessions", winner.sweeps, "sweeps") as report:
        if config.cluster.fit == "blocks":
            scratch.folder.mkdir(parents=True)
            read = [folder / SUMMARY for folder in dataset.workspace.on_disk]
            with open_cluster(config.cluster, read, scratch.on_disk) as cluster:
                blocks = cut_blocks(cluster, dataset, side, scratch.sub("tracks"))
                threads = config.cluster.threads_per_fit
                return fit_blocks(
                    cluster,
                    blocks,
                    trial.params,
                    trial.seed,
                    winner.sweeps,
                    scratch.sub("fit"),
                    threads=threads,
                    report=report,
                )
        model = Als(dataset.matrix(side), trial.params, trial.seed, usable_cores(), skips=dataset.skips(side))
        while model.sweeps < winner.sweeps:
            model.sweep(1)
            report(model.sweeps)
    return model


def _write_lines(
    file: Path,
    key: str,
    value: str,
    row_ids: npt.NDArray[np.generic],
    column_ids: npt.NDArray[np.generic],
    lists: Int32Array,
) -> int:
    """Writes a line for each row and returns how many; `NO_TRACK` is dropped."""
    with file.open("wb") as lines:
        for row_id, columns in zip(row_ids.tolist(), lists, strict=True):
            ids = column_ids[columns[columns != NO_TRACK]].tolist()
            lines.write(orjson.dumps({key: row_id, value: ids}, option=orjson.OPT_APPEND_NEWLINE))
    return len(row_ids)


def _data_facts(store: Store, dataset: Dataset) -> dict[str, Any]:
    facts = dataset.summary
    return {
        "store": store.digest,
        "dataset": facts.digest,
        "catalogue": asdict(store.catalogue) if store.catalogue else None,
        "events": facts.events,
        "sessions": facts.sessions,
        "listeners": facts.listeners,
        "tracks": facts.tracks,
    }


def _list_facts(lists: Int32Array, dataset: Dataset, side: Side, options: ExportConfig) -> dict[str, Any]:
    """How long the lists are and why some are shorter, and who got the popular tracks."""
    short = int(np.count_nonzero(np.count_nonzero(lists != NO_TRACK, axis=1) < options.top))
    reasons: Iterable[str] = ()
    if lists.shape[1] < options.top:
        reasons = (f"the catalogue has {lists.shape[1]} tracks",)
    elif short:
        reasons = ("filter_seen leaves fewer tracks",)
    return {
        "length": options.top,
        "filter_seen": options.filter_seen,
        "short": short,
        "short_because": " ".join(reasons) or None,
        "popular_instead": len(without_interactions(dataset.matrix(side))),
    }


def _point_current(out: Workspace, version: Workspace) -> str:
    """Make `current` point to a version, in one step; at s3:// and the like it is a file that names the version."""
    name = version.folder.relative_to(out.folder)
    if out.is_remote:
        (out.folder / CURRENT).write_text(f"{name.as_posix()}\n")
        out.upload(CURRENT)
        return str(version)
    link = out.folder / f"{TEMPORARY_PREFIX}{CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.replace(out.folder / CURRENT)
    fsync_directory(out.folder)
    return f"{out}/{CURRENT}"
