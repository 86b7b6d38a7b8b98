"""A small session model for the service to load."""

from pathlib import Path
from typing import Any

import numpy as np

from botify.model.model import Model
from botify.service import load_configured
from tests.botify.exports import (
    make_settings,
    publish,
    random_lists,
    update_manifest,
    write_catalogue,
)

TRACKS, FACTORS, FATIGUE = 40, 4, 0.5
ARTISTS = [track % 8 for track in range(TRACKS)]
# listener 5 has opened sessions with tracks 1, 2 and 30
KNOWN, OTHER_OPENING, NEWCOMER = 5, 9, 77


def arrays(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  whatever NumPy saves
    rng = np.random.default_rng(6)
    root = rng.normal(size=(FACTORS, FACTORS))
    covariance = 0.1 * root @ root.T + 0.2 * np.eye(FACTORS)
    new_covariance = covariance + 0.3 * np.eye(FACTORS)
    made = {
        "tracks": np.arange(TRACKS),
        "track_factors": rng.normal(size=(TRACKS, FACTORS)).astype(np.float32),
        "listeners": np.array([2, KNOWN, KNOWN, KNOWN]),
        "organics": np.array([1, 1, 2, 30]),
        "interest_of": np.array([2, 0, 0, 1], dtype=np.int32),
        "interests": rng.normal(size=(3, FACTORS)).astype(np.float32),
        "odds": rng.normal(size=3).astype(np.float32),
        "new_map": rng.normal(size=(FACTORS, FACTORS)).astype(np.float32),
        "covariance": covariance.astype(np.float32),
        "new_covariance": new_covariance.astype(np.float32),
        "dispersion": np.float64(0.2),
        "artist_fatigue": np.float64(FATIGUE),
        "interest_change": np.float64(0),
    }
    return {**made, **changes}


def publish_session_model(root: Path, **changes: Any) -> Path:  # noqa: ANN401  whatever NumPy saves
    """Publish a version with a session model; returns the version's folder."""
    catalogue = write_catalogue(root / "tracks.json", ARTISTS)
    folder = publish(root, "one", random_lists(20, TRACKS), catalogue=catalogue)
    np.savez(folder / "session_model.npz", **arrays(**changes))
    update_manifest(folder, "session_model.npz")
    return folder


def load(root: Path) -> Model:
    settings = make_settings(root, root / "tracks.json", "session_model")
    return load_configured(settings)
