"""Write the files of a published version (docs/formats.md).

The files have the text ids of a store that has them, in place of numbers. If the winner has no
factors, `factors.npz` has the factors of the best trial that has some. It is missing if there is
none, or if the winner is a class of another package without factors.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
from scipy.sparse import csr_matrix

from analysis.store import LOGGED, Store
from looplib.arrays import NO_TRACK, Int32Array, offsets
from looplib.checksums import seal
from looplib.files import atomic_write_json, json_digest, sha256_file
from looplib.memory import FILE_NAME as PLAYS
from looplib.memory import MOST_PLAYS
from recsys.cluster.processes import usable_cores
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Plays, read_plays
from recsys.dataset.layout import SplitName
from recsys.live.export import write_live
from recsys.live.sessions import load_sessions
from recsys.models.base import Model
from recsys.models.external import External
from recsys.models.factors import Factors
from recsys.models.similarity import SimilarityModel
from recsys.models.trial import Checkpoint
from recsys.run import Winner
from recsys.storage import Workspace
from recsys.store.ids import Ids, Title, originals, read_titles

RECOMMENDATIONS = "recommendations.jsonl"
REPEAT = "repeat.jsonl"
NEW = "new.jsonl"
SCORES = (
    "scores.npy"  # scores of `RECOMMENDATIONS`, by line and rank; NaN if there is none
)
SIMILAR = "similar.jsonl"
_MOST_SIMILAR = (
    200_000  # tracks of the largest catalogue in which all pairs are compared
)
FACTORS = "factors.npz"
HISTORY = "history.npz"
TRACKS = "tracks.json"
MANIFEST = "manifest.json"
SCHEMA = 1  # version of the manifest


@dataclass(frozen=True)
class Export:
    """A finished run that is published."""

    run: Workspace
    store: Store
    dataset: Dataset
    config: SearchConfig
    winner: Winner

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
        facts = {
            "trial": fitted.trial.id,
            "iterations": fitted.iteration,
            "factors": factors and (factors.trial.id, factors.iteration),
            "options": self.options.model_dump(mode="json"),
        }
        return f"{fitted.trial.kind}-{json_digest(facts)[:12]}"


def write_version(
    folder: Path, export: Export, model: Model, factors: Factors | None
) -> None:
    """Write the files of a version into an empty folder, the manifest last.

    Args:
        folder: Folder of the version.
        export: The run and the options.
        model: The refitted winner.
        factors: Factors that are published with it, if there are any.
    """
    store = export.store
    dataset = export.dataset
    config = export.config
    users = originals(store, "users", dataset.users)
    titles: Mapping[str, Title] = {}
    if store.manifest.catalogue_size is None:
        titles = read_titles(config.catalogue, store)
    tracks = originals(store, "items", dataset.tracks_of(export.split), titles)
    write_model(folder, model, factors, users, tracks, export.options)
    # titles of the ingested tables, or the catalogue of the logs
    file = config.catalogue
    digest = store.manifest.catalogue and store.manifest.catalogue.sha256
    if store.manifest.columns != LOGGED:
        write_tracks(folder, tracks, titles)
    elif file and file.is_file() and digest in (None, sha256_file(file)):
        shutil.copyfile(file, folder / TRACKS)
    _write_plays(folder / PLAYS, dataset, export.split, users, tracks)
    live = None
    if export.options.live:
        sessions = load_sessions(store, config, dataset, export.split)
        anyway = export.options.live == "anyway"
        live = write_live(folder, sessions, tracks, config.seed, anyway=anyway)
    write_manifest(folder, {**_facts(export), "live": live})


def write_model(
    folder: Path,
    model: Model,
    factors: Factors | None,
    users: Ids,
    tracks: Ids,
    options: ExportConfig,
) -> None:
    """Write lists and scores of a model, factors with their interactions, and similar tracks.

    Args:
        folder: Folder of the version.
        model: The model that ranks.
        factors: Factors that are published with it, if there are any.
        users: Ids of the listeners, by row.
        tracks: Ids of the tracks, by column.
        options: The length of lists, and whether they leave out tracks that were heard.
    """
    top = options.top
    new = model.recommend(top, "new")
    lists = {
        RECOMMENDATIONS: new if options.filter_seen else model.recommend(top),
        REPEAT: model.recommend(top, "repeat"),
        NEW: new,
    }
    for name, best in lists.items():
        _write_lists(folder / name, users, tracks, best)
    best = lists[RECOMMENDATIONS]
    is_there = best != NO_TRACK
    indptr = offsets(is_there.sum(axis=1))
    values = (is_there[is_there], best[is_there], indptr)
    places = csr_matrix(values, model.train.matrix.shape)
    scores = np.full(best.shape, np.nan, np.float32)
    scores[is_there] = model.score(places)
    np.save(folder / SCORES, np.where(scores, scores, np.nan))
    if factors is not None:
        ids = {"users": users, "tracks": tracks}
        np.savez(folder / FACTORS, allow_pickle=False, **ids, **vars(factors))
        fitted = model.train.matrix
        arrays = {
            "counts": np.diff(fitted.indptr),
            "heard": fitted.indices,
            "values": fitted.data,
        }
        np.savez(folder / HISTORY, allow_pickle=False, **ids, **arrays)
    _write_similar(folder, model, factors, tracks, top)


def _write_similar(
    folder: Path,
    model: Model,
    factors: Factors | None,
    tracks: Ids,
    top: int,
) -> None:
    """Write similar tracks by the factors, or else by the similarities of the model."""
    if factors is not None:
        compared = np.flatnonzero(factors.item_factors.any(axis=1))
    else:
        compared = np.flatnonzero(model.train.popularity)
    if not 0 < len(compared) <= _MOST_SIMILAR:
        return
    ids = tracks[compared]
    if factors is not None:
        fitted = Factors(factors.user_factors, factors.item_factors[compared])
        similar, _ = fitted.similar(np.arange(len(ids)), top, usable_cores())
        _write_lists(folder / SIMILAR, ids, ids, similar, of="track")
    elif isinstance(model, SimilarityModel) and hasattr(model, "similarity"):
        similar = model.similar(compared, top)
        _write_lists(folder / SIMILAR, ids, tracks, similar, of="track")


def _write_plays(
    file: Path, dataset: Dataset, split: SplitName, users: Ids, tracks: Ids
) -> None:
    """Write the latest plays of each listener that were learned from, if they have an order."""
    try:
        plays = read_plays(dataset, split)
    except FileNotFoundError:
        plays = Plays(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    newest = plays.select(plays.age <= MOST_PLAYS)
    np.savez(
        file,
        allow_pickle=False,
        users=users,
        # a play of the future would hide the plays that reach the service
        latest=np.minimum(dataset.latest(split), time.time_ns() // 1_000_000),
        tracks=tracks,
        counts=newest.counts,
        plays=newest.tracks,
    )


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a version with digests of its files, and the rows of lists."""
    files = {}
    for file in sorted(folder.iterdir()):
        rows = None
        if file.suffix == ".jsonl":
            with file.open("rb") as lines:
                rows = sum(1 for _ in lines)
        size = file.stat().st_size
        files[file.name] = {"sha256": sha256_file(file), "bytes": size, "rows": rows}
    atomic_write_json(folder / MANIFEST, seal({**facts, "files": files}))


def write_tracks(folder: Path, tracks: Ids, titles: Mapping[str, Title]) -> None:
    """Write the catalogue: a line for each track, with its title if it is known."""
    records = [titles.get(str(track), Title(track)) for track in tracks.tolist()]
    (folder / TRACKS).write_bytes(msgspec.json.Encoder().encode_lines(records))


def _write_lists(
    file: Path,
    ids: Ids,
    tracks: Ids,
    lists: Int32Array,
    of: str = "user",
) -> None:
    """Write a line for each listener or track of the ids; `NO_TRACK` is left out."""
    with file.open("wb") as lines:
        for owner, columns in zip(ids.tolist(), lists, strict=True):
            best = tracks[columns[columns != NO_TRACK]].tolist()
            lines.write(orjson.dumps({of: owner, "tracks": best}) + b"\n")


def _parameters(fitted: Checkpoint) -> dict[str, Any]:
    trial = fitted.trial
    facts = {"kind": trial.kind, "iterations": fitted.iteration}
    if issubclass(
        trial.model_type, External
    ):  # its names are not those of `looplib.als`
        return {**facts, "class": trial.params}
    return {**facts, **trial.params}


def _facts(export: Export) -> dict[str, Any]:
    """Describe the model and the data that it learned from for the manifest."""
    winner = export.winner
    config = export.config
    options = export.options
    manifest = export.store.manifest
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
        # of the split and of the fit
        "seed": config.seed,
        "metrics": {name: [*interval] for name, interval in winner.metrics.items()},
        "selected_by": winner.select,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "data": {
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
        "lists": {"length": options.top, "filter_seen": options.filter_seen},
    }
