"""Write next-track models for the service's recommenders `next_track` and `live`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.store import Store
from looplib.next_track_file import FILE_NAME, LISTS
from looplib.progress import say
from recsys.cluster.processes import usable_cores
from recsys.config import NextTrackConfig, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import SplitName
from recsys.errors import SearchError
from recsys.next_track.live import write_ranker
from recsys.next_track.model import NextTrackModel
from recsys.next_track.score import (
    HELD_OUT,
    NAME,
    PRECISION,
    compare,
)
from recsys.next_track.sessions import load_sessions
from recsys.store.ids import Ids


def write_next_track(
    folder: Path,
    store: Store,
    dataset: Dataset,
    config: SearchConfig,
    tracks: Ids,
    *,
    split: SplitName,
    anyway: bool,
) -> Mapping[str, Any] | None:
    """Compare the model with simple rules, fit it on those of a split, and write it to a folder.

    A model that is not significantly better than each rule is not written, unless `anyway`; the
    ranker of `live` is. Tracks are the ids that came in.

    Returns:
        The manifest's section about it; None where there are too few sessions.
    """
    sessions = load_sessions(store, config, dataset, split)
    section = config.next_track or NextTrackConfig()
    older, newest = sessions.split(HELD_OUT)
    before, model = (
        NextTrackModel(section).fit(learned, threads=usable_cores())
        for learned in (older, sessions)
    )
    write_ranker(folder, before, model, tracks, config.seed)
    try:
        compared = compare(before, newest, config.seed)
    except SearchError as error:
        say(f"{NAME} is left out: {error}")
        return None
    is_published = compared.is_better or anyway
    if is_published:
        weights = compared.weights
        arrays: dict[str, Any] = {
            "tracks": tracks,
            "listener": np.float64(weights.listener),
            "followed": np.float64(weights.followed),
        }
        for name, part in zip(LISTS, model.combine(weights), strict=True):
            arrays[f"{name}_counts"] = np.diff(part.indptr)
            arrays[f"{name}_tracks"] = part.indices
            arrays[f"{name}_values"] = part.data.astype(np.float32)
        np.savez(folder / FILE_NAME, allow_pickle=False, **arrays)
    precision = compared.metrics[NAME][PRECISION].value
    value, lower, upper = compared.ratio
    line = (
        f"{NAME}: {PRECISION} {precision:.4f}, {value:.2f} x ({lower:.2f} … {upper:.2f}) "
        f"that of {compared.best_rule}"
    )
    if not compared.is_better:
        line += f"; {NAME} is not significantly better"
    if not is_published:
        line += ", so it is left out; --set export.publish_anyway=true publishes it"
    say(line)
    return {
        "parameters": {**section.model_dump(), **asdict(compared.weights)},
        "sessions": compared.sessions,
        "predictions": compared.predictions,
        "metrics": {
            name: {metric: tuple(value) for metric, value in metrics.items()}
            for name, metrics in compared.metrics.items()
        },
        "best_rule": compared.best_rule,
        "ratio": tuple(compared.ratio),
        "published": is_published,
    }
