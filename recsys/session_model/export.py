"""Publish a session model as `session_model.npz`, for the service's recommender `session_model`.

Arrays, in the ids that came in, numbers or texts; k factors, the constant among them, in axes along
which the prior of an interest has the variance 1 and responses add information one axis at a time:

    tracks (tracks,), track_factors (tracks, k)
    listeners, organics, interest_of (openings,)   sorted by listener, then organic track
    owners, scale, constant (owners,)              of each listener, sorted
    interests (interests, k), evidence, odds (interests,)
    information, constant_axis (k,)
    newcomer_map, newcomer_covariance, own_map, own_covariance (k, k)
    dispersion, artist_fatigue, tiredness, interest_change, resolution ()

They are explained in `recsys.session_model.model.FittedSessionModel`, and what the service does with them
in `docs/session-model.md`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from looplib.arrays import Float32Array
from looplib.progress import progress
from recsys.config import SessionModelConfig
from recsys.session_model.fit import fit_session_model
from recsys.session_model.model import FittedSessionModel
from recsys.session_model.responses import Responses, load_responses
from recsys.store.ids import originals
from recsys.store.remote import Store

SESSION_MODEL = "session_model.npz"
FORMAT = 2  # the service reads this one alone
_NUMBERS = ("dispersion", "artist_fatigue", "tiredness", "interest_change")


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
    _save(folder / SESSION_MODEL, responses, model, config, store)
    return {
        "format": FORMAT,
        "parameters": config.model_dump(mode="json", exclude={"catalogue"}),
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        **{name: getattr(model, name) for name in _NUMBERS},
    }


def _save(
    file: Path,
    responses: Responses,
    model: FittedSessionModel,
    config: SessionModelConfig,
    store: Store,
) -> None:
    users, tracks = (
        originals(store, "users", responses.users),
        originals(store, "items", responses.tracks),
    )
    listeners, organics = users[responses.listener], tracks[responses.organic]
    order = np.lexsort((organics, listeners))
    by_id = np.argsort(users, kind="stable")
    arrays: dict[str, Any] = _in_axes_of_information(model) | {
        "tracks": tracks,
        "listeners": listeners[order],
        "organics": organics[order],
        "interest_of": model.interest_of[order],
        "owners": users[by_id],
        "scale": model.scale[by_id],
        "constant": model.constant[by_id],
        "resolution": config.resolution,
        **{name: getattr(model, name) for name in ("evidence", "odds", *_NUMBERS)},
    }
    np.savez(file, allow_pickle=False, **arrays)


def _in_axes_of_information(model: FittedSessionModel) -> dict[str, Float32Array]:
    """Turn vectors to axes in which the prior precision of an interest is 1 and the information is diagonal.

    With P = L L' and L^-1 information L^-T = Q diag(information) Q', an interest's vector x becomes
    A x, A = Q' L', and a track's A^-T v, so that their products stay.
    """
    lower = np.linalg.cholesky(model.interest_precision.astype(np.float64))
    inner = np.linalg.solve(
        lower, np.linalg.solve(lower, model.information.astype(np.float64)).T
    )
    information, axes = np.linalg.eigh((inner + inner.T) / 2)
    turn = axes.T @ lower.T
    tracks = np.hstack([model.tracks, np.ones((len(model.tracks), 1))])
    own_map = model.newcomer_map.astype(np.float64)
    own_map[:, -1] = 0
    turned = {
        "track_factors": np.linalg.solve(turn.T, tracks.T).T,
        "interests": model.interests @ turn.T,
        "information": np.maximum(information, 0),
        "constant_axis": turn[:, -1],
        "newcomer_map": turn @ model.newcomer_map @ turn.T,
        "newcomer_covariance": turn @ np.linalg.inv(model.newcomer_precision) @ turn.T,
        "own_map": turn @ own_map @ turn.T,
        "own_covariance": turn @ np.linalg.inv(model.new_precision) @ turn.T,
    }
    return {name: values.astype(np.float32) for name, values in turned.items()}
