"""Plan and make a published version on workers, in ranges of listeners and of tracks.

Calls leave files for each other in a scratch folder of the run.
"""

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from analysis.logs.lines import LineCounts
from analysis.store import LOGGED
from looplib.files import json_digest, remove_leftovers
from looplib.memory import FILE_NAME as PLAYS
from recsys.blockwise import Files, is_cut, plan_blocks, read_state
from recsys.cluster.cluster import Call, Cluster, Plan
from recsys.cluster.processes import call_threads
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.features import read_columns
from recsys.dataset.interactions import load_interactions
from recsys.dataset.layout import SplitName
from recsys.errors import SearchError
from recsys.export.version import (
    SCHEMA,
    TRACKS,
    join_parts,
    write_factors,
    write_lists,
    write_manifest,
    write_plays,
    write_similar,
    write_tracks,
)
from recsys.models.base import Model
from recsys.models.external import External
from recsys.models.trial import Checkpoint, fit_trial
from recsys.run import Winner
from recsys.storage import Workspace, open_workspace
from recsys.store.ids import Ids, Title, originals, read_catalogue, read_titles
from recsys.store.reader import open_store

# files of the scratch folder
_USERS, _TRACKS = "users.npy", "tracks.npy"
_MODEL = "{}.pickle"
_FIT = "fit"  # the factors of a fit in blocks
_LISTENERS = 1024  # listeners of a range
_COMPARED = 4096  # tracks of a range


@dataclass(frozen=True)
class Export:
    """A finished run that is published, by addresses that workers open."""

    store: str
    scratch: str  # the folder in which calls leave files for each other
    config: SearchConfig
    winner: Winner

    @property
    def workspace(self) -> Workspace:
        """The scratch folder."""
        return open_workspace(self.scratch)

    @property
    def version(self) -> Workspace:
        """The folder in which the files of the version are made."""
        return self.workspace.sub("version")

    @property
    def parts(self) -> Workspace:
        """The folder of the files of ranges."""
        return self.workspace.sub("parts")

    @property
    def dataset(self) -> Dataset:
        """The dataset of the run."""
        cache = open_workspace(self.store).sub(f"cache/{self.winner.dataset}")
        return open_dataset(cache.address)

    @property
    def with_factors(self) -> Checkpoint:
        """The model whose factors and similar tracks are published."""
        return self.winner.factors or self.winner.fitted

    @property
    def options(self) -> ExportConfig:
        """The options of the publication."""
        return self.config.export

    @property
    def split(self) -> SplitName:
        """The interactions that the published model learns from."""
        return self.options.learn_from

    @property
    def model_id(self) -> str:
        """The version's name: the same run and options give the same."""
        fitted, factors = self.winner.fitted, self.winner.factors
        identity = {
            "trial": fitted.trial.id,
            "iterations": fitted.iteration,
            "factors": factors and (factors.trial.id, factors.iteration),
            "options": self.options.model_dump(mode="json"),
        }
        return f"{fitted.trial.kind}-{json_digest(identity)[:12]}"


def write_ids(export: Export) -> None:
    """Write the ids of listeners and tracks, and the catalogue, which may be here alone."""
    store = open_store(export.store)
    config = export.config
    titles: Mapping[str, Title] = {}
    if store.manifest.catalogue_size is None:
        titles = read_titles(config.catalogue, store)
    numbers = export.dataset.tracks_of(export.split)
    tracks = originals(store, "items", numbers, titles)
    users = originals(store, "users", export.dataset.users)
    for name, ids in ((_USERS, users), (_TRACKS, tracks)):
        with export.workspace.create(name) as file:
            np.save(file, ids)
    # titles of the ingested tables, or the catalogue of the logs
    catalogue = config.catalogue
    digest = store.manifest.catalogue and store.manifest.catalogue.sha256
    folder = export.version.folder
    folder.mkdir()
    if store.manifest.columns != LOGGED:
        limited = {*export.options.rerank.most_per}
        kinds = {
            name: kind for name, kind in config.features.items() if name in limited
        }
        columns = read_columns(catalogue, kinds) if catalogue else {}
        write_tracks(folder, tracks, titles, columns)
    elif catalogue and catalogue.is_file():
        content = read_catalogue(catalogue)
        if digest in (None, hashlib.sha256(content).hexdigest()):
            (folder / TRACKS).write_bytes(content)
    export.version.upload(*(file.name for file in folder.iterdir()))


def plan_model(
    export: Export, cluster: Cluster, fitted: Checkpoint, shipped: bytes | None
) -> Plan[None]:
    """Plan to fit a model again and to write its lists and factors to the version.

    The lists of ranges of listeners, and similar tracks of ranges of tracks, are files of their
    own, which `assemble` joins. The ranges depend on the data alone.

    Args:
        export: The run that is published.
        cluster: Its workers fit blocks.
        fitted: The winner, or the model of the factors.
        shipped: The pickled class, if workers cannot import it.
    """
    dataset = export.dataset
    trial = fitted.trial
    model_type = trial.model_type
    files: Files = {}
    if is_cut(export.config.cluster, trial, dataset, export.split):
        fit = (trial.config, trial.seed, fitted.iteration, export.workspace.sub(_FIT))
        files = yield from plan_blocks(cluster.slots(), dataset, export.split, *fit)
    is_foreign = issubclass(model_type, External)
    calls: list[Call] = []
    if fitted == export.winner.fitted:
        rows = len(dataset.users)
        parts = _cut(rows, rows if is_foreign else _LISTENERS)
        calls += [(write_part, export, part) for part in parts]
    if fitted == export.with_factors:
        rows = len(dataset.tracks_of(export.split))
        calls += [(write_near, export, part) for part in _cut(rows, _COMPARED)]
    # an object of a library may not be pickled, so its lists are made where it is fitted
    yield [(refit, export, fitted, files, calls if is_foreign else [], shipped)]
    if not is_foreign:
        yield calls


def _cut(rows: int, size: int) -> list[range]:
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


def refit(
    export: Export,
    fitted: Checkpoint,
    files: Files,
    calls: Sequence[Call],
    shipped: bytes | None,
) -> None:
    """Fit a trial again, on all sessions or the training sessions, and keep the model.

    Args:
        export: The run that is published.
        fitted: The trial and its iterations.
        files: The files of a fit in blocks, if any.
        calls: Calls with the model, if it cannot be kept.
        shipped: The pickled class, if it cannot be imported here.

    Raises:
        SearchError: The class cannot be imported, or its code has changed.
    """
    fitted.trial.model_type.load_kernels()
    state = read_state(export.workspace.sub(_FIT), files) if files else None
    threads = call_threads()
    try:
        model = fit_trial(
            fitted, export.dataset, export.split, threads, state, shipped=shipped
        )
    except ImportError as error:  # the class is of another package
        raise SearchError(str(error)) from None
    if fitted == export.with_factors and model.factors:
        users, tracks = read_ids(export)
        write_factors(export.version, model, model.factors, users, tracks)
    for function, *arguments in calls:
        function(*arguments, model)
    if not calls:
        with export.workspace.create(_MODEL.format(fitted.trial.id)) as file:
            pickle.dump(model, file, pickle.HIGHEST_PROTOCOL)


@lru_cache(maxsize=2)  # the winner, and the model of the factors
def _load_model(scratch: Workspace, trial: str) -> Model:
    with scratch.cached(_MODEL.format(trial)).open("rb") as file:
        model: Model = pickle.load(file)  # noqa: S301  # nosec B301  `refit` has written it
        return model


def load_model(export: Export, fitted: Checkpoint) -> Model:
    """Read a model that `refit` has kept."""
    model = _load_model(export.workspace, fitted.trial.id)
    is_ordered = model.needs_order
    model.train = load_interactions(export.dataset, export.split, is_ordered=is_ordered)
    model.threads = call_threads()
    return model


def read_ids(export: Export) -> tuple[Ids, Ids]:
    """Map the ids of listeners, by row, and of tracks, by column."""
    files = map(export.workspace.cached, (_USERS, _TRACKS))
    users, tracks = (np.load(file, mmap_mode="r") for file in files)
    return users, tracks


def write_part(export: Export, part: range, model: Model | None = None) -> None:
    """Write the lists of a range of listeners."""
    users, tracks = read_ids(export)
    if model is None:
        whole = load_model(export, export.winner.fitted)
        model = whole.narrow(np.arange(part.start, part.stop))
    ids = users[part.start : part.stop]
    write_lists(export.parts, model, ids, tracks, export.options, part)


def write_near(export: Export, part: range, model: Model | None = None) -> None:
    """Write the similar tracks of a range of tracks."""
    model = model or load_model(export, export.with_factors)
    _, tracks = read_ids(export)
    write_similar(export.parts, model, tracks, export.options.top, part)


def assemble(export: Export, live: Mapping[str, Any] | None) -> None:
    """Join the parts of a version's files, and write its plays and its manifest."""
    version = export.version
    for workspace in (version, export.parts):
        workspace.download(*workspace.names())
        remove_leftovers(workspace.folder)
    join_parts(export.parts.folder, version.folder)
    users, tracks = read_ids(export)
    write_plays(version.folder / PLAYS, export.dataset, export.split, users, tracks)
    write_manifest(version.folder, {**_describe(export), "live": live})
    version.upload(*(file.name for file in version.folder.iterdir()))


def _parameters(fitted: Checkpoint) -> dict[str, Any]:
    trial = fitted.trial
    parameters = {"kind": trial.kind, "iterations": fitted.iteration}
    if issubclass(
        trial.model_type, External
    ):  # its names are not those of `looplib.als`
        return {**parameters, "class": trial.params}
    return {**parameters, **trial.params}


def _describe(export: Export) -> dict[str, Any]:
    """Describe the model and the data that it learned from for the manifest."""
    winner = export.winner
    config = export.config
    options = export.options
    manifest = open_store(export.store).manifest
    summary = export.dataset.summary
    mean_weight = None
    if "share" not in manifest.columns:
        mean_weight = float(export.dataset.array(export.split, "values").mean())
    return {
        "schema": SCHEMA,
        "model": export.model_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": _parameters(winner.fitted),
        # the model of the factors, if it is not the model of the lists
        "factors": winner.factors and _parameters(winner.factors),
        # seed of the split and the fit
        "seed": config.seed,
        # listeners who chose the winner, the others, and thirds of all who chose
        **{
            name: {key: [*ends] for key, ends in getattr(winner, name).items()}
            for name in ("metrics", "test", "by_tracks")
        },
        "selected_by": winner.select,
        "is_simulated": config.is_simulated,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "data": {
            "lines": sum((file.lines for file in manifest.sources), LineCounts()),
            "events": summary.events,
            "sessions": summary.sessions,
            "listeners": summary.listeners,
            "tracks": len(export.dataset.tracks_of(export.split)),
            # tracks that count in the regularization of a listener
            "fitted_tracks": int(
                np.count_nonzero(export.dataset.popularity(export.split))
            ),
            "store": manifest.digest,
            "dataset": summary.digest,
            "learned_from": options.learn_from,
            "columns": manifest.columns,
            "catalogue": asdict(manifest.catalogue) if manifest.catalogue else None,
            "mean_weight": mean_weight,
        },
        "lists": {
            "length": options.top,
            "filter_seen": options.filter_seen,
            "rerank": options.rerank.model_dump(),
        },
    }
