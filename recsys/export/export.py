"""Refit a run's winner on all sessions and publish what the service loads (docs/formats.md).

A published version is a folder `versions/<model id>` that is renamed into place whole; `current`
then points to it, in one step. Earlier versions stay for rollback. Of a store with text ids the
files have these in place of the numbers. A kind of model without factors has no `factors.npz`.
"""

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from looplib.arrays import Int32Array
from looplib.checksums import seal
from looplib.files import (
    atomic_directory,
    atomic_write_json,
    json_digest,
    remove_leftovers,
    sha256_file,
)
from looplib.progress import progress
from looplib.session_model_file import FORMAT
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import Client, open_cluster
from recsys.cluster.processes import usable_cores
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.build import plan_dataset
from recsys.dataset.dataset import PIECES, SUMMARY, Dataset, Side, open_whole_dataset
from recsys.errors import ExportError
from recsys.models.als import Fit, make_equations
from recsys.models.kinds import KINDS
from recsys.models.model import Model, State
from recsys.models.topk import NO_TRACK
from recsys.runs.folder import NO_BETTER, Winner, read_run
from recsys.session_model.export import write_session_model
from recsys.store.ids import Title, originals, titles_by_id
from recsys.store.remote import Store, open_store
from recsys.workspace import Workspace, open_workspace

RECOMMENDATIONS = "recommendations.jsonl"
FACTORS = "factors.npz"
HISTORY = "history.npz"
TRACKS = "tracks.json"
MANIFEST = "manifest.json"
CURRENT = "current"
_SCHEMA = 1  # of the manifest
_LIBRARIES = (
    "numba",
    "numpy",
    "scipy",
    "dask",
    "distributed",
    "duckdb",
    "pyarrow",
)
Ids = npt.NDArray[np.generic]  # numbers or texts


@dataclass(frozen=True)
class _Export:
    """A finished run, and what is to be published of it."""

    run: Workspace
    store: Store
    dataset: Dataset
    config: SearchConfig
    winner: Winner
    options: ExportConfig
    client: Client | None

    @property
    def side(self) -> Side:
        """The interactions that the published model learns from."""
        return "train" if self.options.learn_from == "training" else "total"

    @property
    def model_id(self) -> str:
        """The version's name: the same run and options give the same."""
        winner, session_model = self.winner, self.config.session_model
        facts = {
            "trial": winner.trial.id,
            "sweeps": winner.sweeps,
            "options": self.options.model_dump(mode="json", exclude={"publish_anyway"}),
        }
        if session_model is not None:
            has_titles = bool(titles_by_id(self.store))
            facts["session_model"] = {
                **session_model.model_dump(mode="json", exclude={"catalogue"}),
                "artists": session_model.catalogue is not None or has_titles,
                "format": FORMAT,
            }
        return f"{winner.trial.kind}-{json_digest(facts)[:12]}"


def export_run(
    run_address: str | Path,
    out_address: str | Path,
    options: ExportConfig,
    store_address: str | Path | None = None,
    client: Client | None = None,
) -> str:
    """Refit a run's winner, on all sessions unless the options say otherwise, and publish it.

    The store is by default where the search read it; a fit in blocks runs on the workers of the
    Dask client, if given.

    Returns:
        The address of the version, by way of `current`; at s3:// and the like, which have no links,
            its own.

    Raises:
        UserError: The run is not finished, its winner is no better than the popular tracks, or the
            store is not the one that the search read.
    """
    run, out = open_workspace(run_address), open_workspace(out_address)
    config, winner = read_run(run)
    if (
        not winner.beats_popular
        and options.learn_from == "all"
        and not options.publish_anyway
    ):
        raise ExportError(
            f"{run}: {NO_BETTER}, so it is not published; more data or a wider search may help, "
            "and --set export.publish_anyway=true publishes it"
        )
    store = open_store(store_address or config.store)
    if plan_dataset(store, config).digest != winner.dataset:
        raise ExportError(
            f"{store.workspace}: not the store that {run} was searched on, or it has grown "
            "since; search again"
        )
    cached = store.workspace.sub(f"cache/{winner.dataset}")
    if not cached.download_all():
        raise ExportError(f"{cached}: the dataset of {run} is gone; search again")
    dataset = open_whole_dataset(cached)
    if options.learn_from == "training":  # the session model knows no held-out sessions
        config = config.model_copy(update={"session_model": None})
    export = _Export(run, store, dataset, config, winner, options, client)
    version = out.sub(f"versions/{export.model_id}")
    if not version.download_all():
        version.folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(version.folder.parent)
        with atomic_directory(version.folder) as folder:
            _write_version(folder, export)
        version.upload_all()
    return out.link(CURRENT, f"versions/{export.model_id}")


def _write_version(folder: Path, export: _Export) -> None:
    options, dataset, store = export.options, export.dataset, export.store
    model = _refit(export)
    lists = model.lists(options.top, "new" if options.filter_seen else "all")
    users = originals(store, "users", dataset.users)
    tracks = originals(store, "items", dataset.tracks)
    keys = ("user", "tracks")
    rows = {
        RECOMMENDATIONS: _write_lines(
            folder / RECOMMENDATIONS, keys, users, tracks, lists
        )
    }
    if model.fit is not None:
        _write_factors(folder, export, model.fit, users, tracks)
    if store.manifest.has_tables:
        titles = titles_by_id(store)
        records = [titles.get(str(track), Title(track)) for track in tracks.tolist()]
        lines = [msgspec.json.encode(record) + b"\n" for record in records]
        (folder / TRACKS).write_bytes(b"".join(lines))
        rows[TRACKS] = len(lines)
    elif catalogue := _named_catalogue(export):
        shutil.copyfile(catalogue, folder / TRACKS)
    session_model = None
    if export.config.session_model:
        session_model = write_session_model(
            folder,
            store,
            export.config.session_model,
            export.winner.trial.seed,
            usable_cores(),
        )
    files = {
        file.name: {
            "sha256": sha256_file(file),
            "bytes": file.stat().st_size,
            "rows": rows.get(file.name),
        }
        for file in sorted(folder.iterdir())
    }
    versions = {library: importlib.metadata.version(library) for library in _LIBRARIES}
    manifest = {
        **_facts(export),
        "session_model": session_model,
        "files": files,
        "versions": {"python": platform.python_version(), **versions},
    }
    atomic_write_json(folder / MANIFEST, seal(manifest))


def _write_factors(
    folder: Path, export: _Export, fit: Fit, users: Ids, tracks: Ids
) -> None:
    """Write the factors, and what they were fitted to."""
    np.savez(
        folder / FACTORS,
        allow_pickle=False,
        users=users,
        tracks=tracks,
        user_factors=fit.user_factors,
        item_factors=fit.item_factors,
    )
    np.savez(
        folder / HISTORY,
        allow_pickle=False,
        users=users,
        tracks=tracks,
        **_history(export),
    )


def _named_catalogue(export: _Export) -> Path | None:
    """Return the catalogue that the configuration names, if it is there and is that of the logs."""
    config, known = export.config, export.store.manifest.catalogue
    section = config.session_model
    file = config.catalogue or (section.catalogue if section else None)
    if file is None or not file.is_file():
        return None
    is_theirs = known is None or sha256_file(file) == known.sha256
    return file if is_theirs else None


def _refit(export: _Export) -> Model:
    """Fit the winner again, on all sessions or on the training ones.

    The fit is in blocks where the search's were.
    """
    trial, sweeps = export.winner.trial, export.winner.sweeps
    kind = KINDS[trial.kind]
    with progress(
        f"Refit on {export.options.learn_from} sessions", sweeps, "sweeps"
    ) as report:
        in_blocks = kind.in_blocks and export.config.cluster.fit == "blocks"
        kept = _refit_in_blocks(export, report) if in_blocks else None
        model = kind(
            export.dataset, export.side, trial.params, trial.seed, usable_cores(), kept
        )
        while model.sweeps < sweeps:
            model.sweep(1)
            report(model.sweeps)
    return model


def _refit_in_blocks(export: _Export, report: Callable[[float], None]) -> State:
    """Take the fit to the winner's last sweep across all workers, by way of a folder in the run.

    Returns:
        The state of the fit.
    """
    trial, sweeps = export.winner.trial, export.winner.sweeps
    name = f"{PIECES}/{uuid4().hex}"
    scratch = export.run.sub(name)
    scratch.folder.mkdir(parents=True)
    read = [folder / SUMMARY for folder in export.dataset.workspace.on_disk]
    try:
        with open_cluster(
            export.config.cluster,
            read,
            scratch.on_disk,
            export.client,
            (fit_blocks.__module__,),
        ) as cluster:
            blocks = cut_blocks(
                cluster, export.dataset, export.side, scratch.sub("tracks")
            )
            fit = fit_blocks(
                cluster,
                blocks,
                trial.params,
                trial.seed,
                sweeps,
                scratch.sub("fit"),
                report,
            )
        return vars(fit)
    finally:
        export.run.delete(name)


def _history(export: _Export) -> dict[str, npt.NDArray[Any]]:
    """Return what was fitted of each listener.

    Returns:
        How many tracks (`counts`), which (`heard`), and their `values`.
    """
    side, params = export.side, export.winner.trial.params
    fitted = [
        make_equations(export.dataset.matrix(side, *rows), params).interactions
        for rows in export.dataset.ranges(side)
    ]
    return {
        "counts": np.concatenate([np.diff(part.indptr) for part in fitted]),
        "heard": np.concatenate([part.indices for part in fitted]),
        "values": np.concatenate([part.data for part in fitted]),
    }


def _write_lines(
    file: Path, keys: tuple[str, str], row_ids: Ids, column_ids: Ids, lists: Int32Array
) -> int:
    """Write a line for each row and return how many; `NO_TRACK` is left out."""
    key, value = keys
    with file.open("wb") as lines:
        for row_id, columns in zip(row_ids.tolist(), lists, strict=True):
            ids = column_ids[columns[columns != NO_TRACK]].tolist()
            lines.write(
                orjson.dumps(
                    {key: row_id, value: ids}, option=orjson.OPT_APPEND_NEWLINE
                )
            )
    return len(row_ids)


def _facts(export: _Export) -> dict[str, Any]:
    """Return what the manifest says of the model, of what it was learned from."""
    winner, config, options = export.winner, export.config, export.options
    manifest, summary = export.store.manifest, export.dataset.summary
    mean_weight = None  # of events, the weight is the share that was heard
    if manifest.interactions:
        mean_weight = float(export.dataset.array(export.side, "values").mean())
    return {
        "schema": _SCHEMA,
        "model": export.model_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {
            "kind": winner.trial.kind,
            **asdict(winner.trial.params),
            "sweeps": winner.sweeps,
        },
        # of the split, which `analysis.offpolicy --holdout manifest` repeats, and of the fit
        "seed": config.seed,
        "metrics": winner.metrics,
        "selected_by": winner.select,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "data": {
            "events": summary.events,
            "sessions": summary.sessions,
            "listeners": summary.listeners,
            "tracks": summary.tracks,
            "store": manifest.digest,
            "dataset": summary.digest,
            "learned_from": options.learn_from,
            "catalogue": asdict(manifest.catalogue) if manifest.catalogue else None,
            "mean_weight": mean_weight,
        },
        "lists": {"length": options.top, "filter_seen": options.filter_seen},
    }
