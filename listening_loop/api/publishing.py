"""Publish a fitted model of another library, without a store and a search."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from looplib.config import parse_config
from looplib.errors import UserError
from recsys.cluster.processes import usable_cores
from recsys.config import ExportConfig
from recsys.dataset.interactions import Interactions
from recsys.export.export import publish_version
from recsys.export.version import (
    SCHEMA,
    write_factors,
    write_lists,
    write_manifest,
    write_similar,
    write_tracks,
)
from recsys.models.external import CLASS, adopt_model
from recsys.storage import open_workspace
from recsys.store.ids import Ids


def publish(
    model: object,
    users: Sequence[Any],
    tracks: Sequence[Any],
    user_items: csr_matrix,
    folder: str | Path,
    *,
    top: int = 30,
    filter_seen: bool = False,
) -> str:
    """Publish a fitted model of another library, such as `implicit`, for `serve`.

    Args:
        model: Has factors, a matrix of similarities between tracks, or `recommend`.
        users: Ids of the rows of the matrix: whole numbers, or texts.
        tracks: Ids of its columns.
        user_items: The matrix that the model was fitted to, shape (users, tracks).
        folder: Path or address of the published versions.
        top: The length of lists.
        filter_seen: Leave out tracks that a listener has in the matrix.

    Returns:
        The address of the version.

    Raises:
        Error: The ids or the matrix do not fit the model.

    Example:
        >>> from types import SimpleNamespace
        >>> heard = csr_matrix(np.array([[3, 1, 0], [0, 2, 5]], np.float32))
        >>> factors = {"user_factors": np.eye(2), "item_factors": np.ones((3, 2))}
        >>> fitted = SimpleNamespace(**factors)  # or a fitted model of implicit
        >>> publish(fitted, ["ann", "bob"], [7, 8, 9], heard, "published")
        'published/current'
    """
    options = {"top": top, "filter_seen": filter_seen}
    export = parse_config(ExportConfig, options, "the options")
    try:
        train = Interactions(csr_matrix(user_items, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise UserError(f"user_items: a matrix is expected ({error})") from None
    rows, columns = train.matrix.shape
    user_ids = _as_ids("users", users, rows)
    track_ids = _as_ids("tracks", tracks, columns)
    adopted = adopt_model(model, train, usable_cores())
    lists = adopted.recommend(export.top)
    digest = sha256(lists.tobytes() + str((user_ids, track_ids)).encode()).hexdigest()
    name = f"{type(model).__name__}-{digest[:12]}"

    def write(version: Path) -> None:
        folder = open_workspace(version)
        write_lists(folder, adopted, user_ids, track_ids, export)
        if factors := adopted.factors:
            write_factors(folder, adopted, factors, user_ids, track_ids)
        write_similar(folder, adopted, track_ids, export.top)
        write_tracks(version, track_ids, {}, {})
        manifest = {
            "schema": SCHEMA,
            "model": name,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "parameters": {"kind": type(model).__name__, CLASS: {CLASS: adopted.path}},
            "data": {"listeners": rows, "tracks": columns, "learned_from": "all"},
            "lists": {"length": export.top, "filter_seen": export.filter_seen},
        }
        write_manifest(version, manifest)

    return publish_version(folder, name, write)


def _as_ids(name: str, ids: Sequence[Any], count: int) -> Ids:
    """Check ids.

    Raises:
        Error: They are too few or too many, of two kinds, or not distinct.
    """
    values = np.asarray(ids).tolist()
    distinct = len({*values})
    if not len(values) == distinct == count:
        text = f"{len(values)} ids, {distinct} of them distinct"
        raise UserError(f"{name}: {text}; the matrix has {count}")
    if len({isinstance(value, str) for value in ids}) > 1:
        raise UserError(
            f"{name}: text and numbers found; write all ids as text, or all as numbers"
        )
    return np.array(values)
