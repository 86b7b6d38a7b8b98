"""What a published version says of itself: `manifest.json`, with the sha256 of every other file."""

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from looplib.arrays import Int32Array
from looplib.files import sha256_file
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.dataset import Dataset, Side
from recsys.models.topk import NO_TRACK, without_interactions
from recsys.runs.folder import Winner
from recsys.store.remote import Store

SCHEMA = 1
MANIFEST = "manifest.json"
_LIBRARIES = ("implicit", "numba", "numpy", "scipy", "dask", "distributed", "duckdb", "pyarrow")


def model_facts(model_id: str, winner: Winner, config: SearchConfig) -> dict[str, Any]:
    """Return what the model is, what it was worth, and by which configuration."""
    ends = ("value", "lower", "upper")
    return {
        "schema": SCHEMA,
        "model": model_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {"kind": winner.trial.kind, **asdict(winner.trial.params), "sweeps": winner.sweeps},
        "seed": config.seed,  # of the split: `analysis.offpolicy --holdout manifest` reads it
        "fit_seed": winner.trial.seed,
        "metrics": {key: dict(zip(ends, values, strict=True)) for key, values in winner.metrics.items()},
        "selected_by": winner.select,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
    }


def data_facts(store: Store, dataset: Dataset, options: ExportConfig) -> dict[str, Any]:
    """Return what the model was learned from."""
    facts = dataset.summary
    return {
        "store": store.manifest.digest,
        "dataset": facts.digest,
        "catalogue": asdict(store.manifest.catalogue) if store.manifest.catalogue else None,
        "events": facts.events,
        "sessions": facts.sessions,
        "listeners": facts.listeners,
        "tracks": facts.tracks,
        "learned_from": options.learn_from,
    }


def list_facts(lists: Int32Array, dataset: Dataset, side: Side, options: ExportConfig) -> dict[str, Any]:
    """Return how long the lists are and why some are shorter, and how many listeners got the popular tracks."""
    short = int(np.count_nonzero(np.count_nonzero(lists != NO_TRACK, axis=1) < options.top))
    reason = "filter_seen leaves fewer tracks" if short else None
    if lists.shape[1] < options.top:
        reason = f"the catalogue has {lists.shape[1]} tracks"
    return {
        "length": options.top,
        "filter_seen": options.filter_seen,
        "short": short,
        "short_because": reason,
        "popular_instead": len(without_interactions(dataset.matrix(side))),
    }


def file_facts(folder: Path, rows: Mapping[str, int]) -> dict[str, Any]:
    """Return the digests, sizes and rows of all files of a version."""
    return {
        file.name: {"sha256": sha256_file(file), "bytes": file.stat().st_size, "rows": rows.get(file.name)}
        for file in sorted(folder.iterdir())
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the model was made with; numba may be missing."""
    return {
        "python": platform.python_version(),
        **{library: importlib.metadata.version(library) for library in _LIBRARIES if find_spec(library)},
    }
