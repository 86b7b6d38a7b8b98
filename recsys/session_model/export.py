"""Write a session model for the service's recommender of the same name."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from looplib.progress import progress
from looplib.session_model_file import ARRAYS, FILE_NAME, FORMAT
from recsys.config import SessionModelConfig
from recsys.session_model.fit import fit_session_model
from recsys.session_model.model import FittedSessionModel
from recsys.session_model.responses import Responses, load_responses
from recsys.store.ids import originals
from recsys.store.remote import Store


def write_session_model(
    folder: Path, store: Store, config: SessionModelConfig, seed: int, threads: int
) -> Mapping[str, Any]:
    """Fit a session model on all sessions of a store, and write it to a folder.

    Returns:
        The manifest's section about it.

    Raises:
        StoreError: The catalogue is not the store's, or cannot be read.
        ExportError: There is nothing to learn from.
    """
    responses = load_responses(store, config.catalogue)
    sweeps = config.coarse_sweeps + config.rough_sweeps + config.sweeps
    with progress("Session model", sweeps, "sweeps") as report:
        model = fit_session_model(responses, config, seed, threads, report)
    save_session_model(folder / FILE_NAME, responses, model, store)
    return {
        "format": FORMAT,
        "parameters": config.model_dump(mode="json", exclude={"catalogue"}),
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        "dispersion": model.dispersion,
        "artist_fatigue": model.artist_fatigue,
        "tiredness": model.tiredness,
        "interest_change": model.interest_change,
    }


def save_session_model(
    file: Path, responses: Responses, model: FittedSessionModel, store: Store
) -> None:
    """Write a model with the original ids, numbers or texts."""
    users = originals(store, "users", responses.users)
    tracks = originals(store, "items", responses.tracks)
    arrays = {
        **asdict(model),
        "tracks": tracks,
        "listeners": users[responses.listener],
        "organics": tracks[responses.organic],
    }
    np.savez(file, allow_pickle=False, **{name: arrays[name] for name in ARRAYS})
