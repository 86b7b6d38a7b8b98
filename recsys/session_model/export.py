"""Publishes a context model as `context.npz`, for the service's recommender `session_context`.

Arrays, in ids of the log; k factors:

    tracks (tracks,), track_factors (tracks, k)
    listeners, organics, interest_of (openings,)   sorted by listener, then organic track
    interests (interests, k + 1), evidence (interests,)
    interest_precision, information, newcomer_map, newcomer_precision (k + 1, k + 1)
    noise, artist_fatigue, resolution ()

What they mean stands in `recsys.session_model.fit.ContextModel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from looplib.progress import progress
from recsys.config import ContextConfig
from recsys.dataset.split import weights_of
from recsys.session_model.fit import ContextModel, fit_context
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import Store

CONTEXT = "context.npz"


def write_context(folder: Path, store: Store, config: ContextConfig, seed: int, threads: int) -> Mapping[str, Any]:
    """Fits a context model on all sessions and writes it.

    Args:
        folder: Where `context.npz` goes.
        store: The session store.
        config: Hyperparameters.
        seed: Decides the first track vectors.
        threads: Threads to use.

    Returns:
        What the manifest says of it.

    Raises:
        ExportError: The catalogue is not the store's, or there is nothing to learn from.
    """
    weights = weights_of(config.propensity_weighting, store.catalogue.tracks if store.catalogue else None)
    responses = load_responses(store, config.catalogue, weights)
    sweeps = config.coarse_sweeps + config.rough_sweeps + config.sweeps
    with progress("Context model", sweeps, "sweeps") as report:
        model = fit_context(responses, config, seed, threads, report)
    _save(folder / CONTEXT, responses, model, config)
    return {
        "parameters": config.model_dump(mode="json", exclude={"catalogue"}),
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        "noise": model.noise,
        "artist_fatigue": model.artist_fatigue,
    }


def _save(file: Path, responses: Responses, model: ContextModel, config: ContextConfig) -> None:
    listeners, organics = responses.users[responses.listener], responses.tracks[responses.organic]
    order = np.lexsort((organics, listeners))
    np.savez(
        file,
        tracks=responses.tracks,
        track_factors=model.tracks,
        listeners=listeners[order],
        organics=organics[order],
        interest_of=model.interest_of[order],
        interests=model.interests,
        evidence=model.evidence,
        interest_precision=model.interest_precision,
        information=model.information,
        newcomer_map=model.newcomer_map,
        newcomer_precision=model.newcomer_precision,
        noise=np.float64(model.noise),
        artist_fatigue=np.float64(model.artist_fatigue),
        resolution=np.float64(config.resolution),
    )
