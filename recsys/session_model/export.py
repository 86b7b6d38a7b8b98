"""Publish a context model as `context.npz`, for the service's recommender `session_context`.

Arrays, in the ids that came in, numbers or texts; k factors:

    tracks (tracks,), track_factors (tracks, k)
    listeners, organics, interest_of (openings,)   sorted by listener, then organic track
    interests (interests, k + 1), evidence (interests,)
    interest_precision, information, newcomer_map, newcomer_precision (k + 1, k + 1)
    noise, artist_fatigue, resolution ()

They are explained in `recsys.session_model.fit.ContextModel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from looplib.progress import progress
from recsys.config import ContextConfig
from recsys.session_model.fit import ContextModel, fit_context
from recsys.session_model.responses import Responses, load_responses
from recsys.store.ids import originals
from recsys.store.remote import Store

CONTEXT = "context.npz"


def write_context(folder: Path, store: Store, config: ContextConfig, seed: int, threads: int) -> Mapping[str, Any]:
    """Fit a context model on all sessions of a store, and write it to a folder.

    Returns:
        The manifest's section about it.

    Raises:
        ExportError: The catalogue is not the store's, or there is nothing to learn from.
    """
    responses = load_responses(store, config.catalogue)
    sweeps = config.coarse_sweeps + config.rough_sweeps + config.sweeps
    with progress("Context model", sweeps, "sweeps") as report:
        model = fit_context(responses, config, seed, threads, report)
    _save(folder / CONTEXT, responses, model, config, store)
    return {
        "parameters": config.model_dump(mode="json", exclude={"catalogue"}),
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        "noise": model.noise,
        "artist_fatigue": model.artist_fatigue,
    }


def _save(file: Path, responses: Responses, model: ContextModel, config: ContextConfig, store: Store) -> None:
    users, tracks = originals(store, "users", responses.users), originals(store, "items", responses.tracks)
    listeners, organics = users[responses.listener], tracks[responses.organic]
    order = np.lexsort((organics, listeners))
    arrays = vars(model) | {
        "tracks": tracks,
        "track_factors": model.tracks,
        "listeners": listeners[order],
        "organics": organics[order],
        "interest_of": model.interest_of[order],
        "resolution": config.resolution,
    }
    np.savez(file, allow_pickle=False, **arrays)
