"""Write the files of a published version (docs/formats.md).

The files have the text ids of a store that has them, in place of numbers. If the winner has no
factors, `factors.npz` has the factors of the best trial that has some. It is missing if there is
none, or if the winner is a class of another package without factors.
"""

import shutil
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import numpy as np
import orjson
from scipy.sparse import csr_matrix

from analysis.page.render import render
from looplib.arrays import NO_TRACK, Int32Array, offsets
from looplib.checksums import seal
from looplib.files import atomic_write_json, sha256_file
from looplib.memory import MOST_PLAYS
from recsys.config import ExportConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.features import Columns
from recsys.dataset.interactions import Plays, read_plays
from recsys.dataset.layout import SplitName
from recsys.models.base import Model
from recsys.models.factors import Factors
from recsys.models.similarity import SimilarityModel
from recsys.storage import Workspace
from recsys.store.ids import Ids, Title

RECOMMENDATIONS = "recommendations.jsonl"
REPEAT = "repeat.jsonl"
NEW = "new.jsonl"
# Scores of `RECOMMENDATIONS`, by line and rank; NaN if there is none.
SCORES = "scores.npy"
SIMILAR = "similar.jsonl"
# Tracks of the largest catalogue in which all pairs are compared.
_MOST_SIMILAR = 200_000
FACTORS = "factors.npz"
HISTORY = "history.npz"
TRACKS = "tracks.json"
MANIFEST = "manifest.json"
CARD = "MODEL.md"
SCHEMA = 1  # format of the manifest and of the files that it lists


def suffix(part: range | None) -> str:
    """Return the ending of the files of a range, by which their names are in order."""
    return f"-{part.start:012d}" if part else ""


def write_lists(
    version: Workspace,
    model: Model,
    users: Ids,
    tracks: Ids,
    options: ExportConfig,
    part: range | None = None,
) -> None:
    """Write the lists and the scores of all listeners of a model.

    Args:
        version: Folder of the version.
        model: The model that ranks.
        users: Ids of its listeners, by row.
        tracks: Ids of the tracks, by column.
        options: The length of lists, and whether they leave out tracks that were heard.
        part: The range of these listeners, if they are not all.
    """
    deep = model.recommend_pools(options.rerank.depth(options.top))
    pools = {
        pool: model.diversify(lists, options.top, options.rerank)
        for pool, lists in deep.items()
    }
    best = pools["new" if options.filter_seen else "all"]
    lists = {RECOMMENDATIONS: best, REPEAT: pools["repeat"], NEW: pools["new"]}
    for name, columns in lists.items():
        with version.create(name + suffix(part)) as file:
            _write_lines(file, users, tracks, columns)
    is_there = best != NO_TRACK
    indptr = offsets(is_there.sum(axis=1))
    values = (is_there[is_there], best[is_there], indptr)
    places = csr_matrix(values, model.train.matrix.shape)
    scores = np.full(best.shape, np.nan, np.float32)
    scores[is_there] = model.score(places)
    with version.create(SCORES + suffix(part)) as file:
        np.save(file, np.where(scores, scores, np.nan))


def write_factors(
    version: Workspace, model: Model, factors: Factors, users: Ids, tracks: Ids
) -> None:
    """Write factors, and the interactions that the model has learned from."""
    ids = {"users": users, "tracks": tracks}
    with version.create(FACTORS) as file:
        np.savez(file, allow_pickle=False, **ids, **vars(factors))
    fitted = model.train.matrix
    arrays = {
        "counts": np.diff(fitted.indptr),
        "heard": fitted.indices,
        "values": fitted.data,
    }
    with version.create(HISTORY) as file:
        np.savez(file, allow_pickle=False, **ids, **arrays)


def write_similar(
    version: Workspace, model: Model, tracks: Ids, top: int, part: range | None = None
) -> None:
    """Write similar tracks by the factors, or else by the similarities of a model.

    Args:
        version: Folder of the version.
        model: The model.
        tracks: Ids of all tracks, by column.
        top: The length of lists.
        part: Which of the tracks that are compared get a list; by default all.
    """
    factors = model.factors
    if factors is not None:
        compared = np.flatnonzero(factors.item_factors.any(axis=1))
    elif isinstance(model, SimilarityModel) and hasattr(model, "similarity"):
        compared = np.flatnonzero(model.train.popularity)
    else:
        return
    rows = np.arange(len(compared))
    if part:
        rows = rows[part.start : part.stop]
    if not len(rows) or len(compared) > _MOST_SIMILAR:
        return
    ids = tracks[compared]
    if factors is not None:
        fitted = Factors(factors.user_factors, factors.item_factors[compared])
        similar, _ = fitted.similar(rows, top, model.threads)
        listed = ids
    else:
        similar = cast(SimilarityModel, model).similar(compared[rows], top)
        listed = tracks
    with version.create(SIMILAR + suffix(part)) as file:
        _write_lines(file, ids[rows], listed, similar, of="track")


def join_parts(parts: Path, folder: Path) -> None:
    """Join the files of ranges, the first range first."""
    names = groupby(
        sorted(parts.iterdir()), key=lambda file: file.name.rpartition("-")[0]
    )
    for name, files in names:
        if name == SCORES:
            np.save(folder / name, np.concatenate([*map(np.load, files)]))
            continue
        with (folder / name).open("wb") as target:
            for file in files:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, target)


def write_plays(
    file: Path, dataset: Dataset, split: SplitName, users: Ids, tracks: Ids
) -> None:
    """Write the latest plays of each listener that were learned from, if they have an order."""
    try:
        plays = read_plays(dataset, split)
    except FileNotFoundError:
        plays = Plays(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    oldest = np.minimum(plays.counts, MOST_PLAYS)
    newest = plays.cut(np.zeros_like(oldest), oldest)
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


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the model card, and the manifest with digests of files and the rows of lists."""
    card = render([Path(__file__).parent], "model.md.jinja", **manifest)
    (folder / CARD).write_text(card, encoding="utf-8")
    files = {}
    for file in sorted(folder.iterdir()):
        rows = None
        if file.suffix == ".jsonl":
            with file.open("rb") as lines:
                rows = sum(1 for _ in lines)
        size = file.stat().st_size
        files[file.name] = {"sha256": sha256_file(file), "bytes": size, "rows": rows}
    atomic_write_json(folder / MANIFEST, seal({**manifest, "files": files}))


def write_tracks(
    folder: Path, tracks: Ids, titles: Mapping[str, Title], columns: Columns
) -> None:
    """Write the catalogue: a line for each track, with its title and columns if they are known."""
    lines = []
    for track in tracks.tolist():
        name = str(track)
        record = msgspec.to_builtins(titles.get(name, Title(track)))
        categories = {key: of[name] for key, of in columns.items() if name in of}
        lines.append(record | categories)
    (folder / TRACKS).write_bytes(msgspec.json.Encoder().encode_lines(lines))


def _write_lines(
    lines: IO[bytes], ids: Ids, tracks: Ids, lists: Int32Array, of: str = "user"
) -> None:
    """Write a line for each listener or track of the ids; `NO_TRACK` is left out."""
    for owner, columns in zip(ids.tolist(), lists, strict=True):
        best = tracks[columns[columns != NO_TRACK]].tolist()
        lines.write(orjson.dumps({of: owner, "tracks": best}) + b"\n")
