"""Write a next-track model for the service's recommender of the same name."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.store import Store
from looplib.next_track_file import ARRAYS, FILE_NAME
from looplib.progress import say
from recsys.config import NextTrackConfig, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.plays import read_artists
from recsys.errors import ExportError
from recsys.next_track.model import NextTrackModel, Setting, combine, fit_parts
from recsys.next_track.score import (
    HELD_OUT,
    NAME,
    PRECISION,
    Comparison,
    compare,
)
from recsys.next_track.sessions import load_sessions
from recsys.store.ids import Ids


def write_next_track(
    folder: Path,
    store: Store,
    dataset: Dataset,
    config: SearchConfig,
    users: Ids,
    tracks: Ids,
    threads: int,
    *,
    anyway: bool,
) -> Mapping[str, Any] | None:
    """Compare the model with simple rules, fit it on all sessions, and write it to a folder.

    A model that is not significantly better than each rule is not written, unless `anyway`. Users
    and tracks are the ids that came in.

    Returns:
        The manifest's section about it; None where there are too few sessions.

    Raises:
        SplitError: The store has no sessions.
    """
    sessions = load_sessions(store, config, dataset)
    section = config.next_track or NextTrackConfig()
    setting = Setting(read_artists(dataset), len(users), section, threads)
    try:
        found = compare(*sessions.split(HELD_OUT), setting, config.seed)
    except ExportError as error:
        say(f"{NAME} is left out: {error}")
        return None
    is_published = found.is_better or anyway
    if is_published:
        parts = fit_parts(sessions, setting)
        model = combine(parts, found.weights)
        _save(folder / FILE_NAME, model, users, tracks)
    say(describe(found, is_published=is_published))
    return {
        "parameters": {**section.model_dump(), **asdict(found.weights)},
        "sessions": found.sessions,
        "predictions": found.predictions,
        "metrics": {
            name: {metric: tuple(value) for metric, value in own.items()}
            for name, own in found.metrics.items()
        },
        "best_rule": found.best_rule,
        "ratio": tuple(found.ratio),
        "published": is_published,
    }


def describe(found: Comparison, *, is_published: bool) -> str:
    """Say how good a model is beside the best rule, and whether it is left out."""
    precision = found.metrics[NAME][PRECISION].value
    value, lower, upper = found.ratio
    line = (
        f"{NAME}: {PRECISION} {precision:.4f}, {value:.2f} x ({lower:.2f} … {upper:.2f}) "
        f"that of {found.best_rule}"
    )
    if not found.is_better:
        line += f"; {NAME} is not significantly better"
    if not is_published:
        line += ", so it is left out; --set export.publish_anyway=true publishes it"
    return line


def _save(
    file: Path,
    model: NextTrackModel,
    users: Ids,
    tracks: Ids,
) -> None:
    near = model.near
    own = model.own
    arrays = {
        "tracks": tracks,
        "near_counts": np.diff(near.indptr),
        "near_tracks": near.indices,
        "near_values": near.data.astype(np.float32),
        "users": users,
        "own_counts": np.diff(own.indptr),
        "own_tracks": own.indices,
        "own_values": own.data.astype(np.float32),
    }
    np.savez(file, allow_pickle=False, **{name: arrays[name] for name in ARRAYS})
