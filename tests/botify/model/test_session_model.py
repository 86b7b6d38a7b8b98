from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify.errors import ModelError
from botify.model.session_model import SESSION_MODEL
from botify.service import load_configured
from tests.botify.exports import edit_manifest, make_settings, update_manifest
from tests.botify.session_models import TRACKS, arrays, load, publish_session_model


def test_an_older_format_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = publish_session_model(tmp_path)
    edit_manifest(folder, session_model={"parameters": {}})
    with pytest.raises(
        ModelError,
        match=r"session_model\.npz: format 1 found, this service reads 6; export with this",
    ) as found:
        load(tmp_path)
    assert "\n" not in str(found.value)


def test_it_is_loaded_only_where_it_is_asked_for(tmp_path: Path) -> None:
    publish_session_model(tmp_path)
    settings = make_settings(tmp_path, tmp_path / "tracks.json", "indexed")
    assert load_configured(settings).get(SESSION_MODEL) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dispersion": np.float64("nan")}, "dispersion holds NaN"),
        (
            {"organics": np.array([1, 1, 2, TRACKS])},
            r"organics has 1\.\.40; allowed is 0\.\.39",
        ),
        ({"tracks": np.arange(TRACKS) - 1}, r"tracks has -1\.\.38"),
        (
            {"interest_of": np.array([2, 0, 0, 3])},
            r"interest_of has 0\.\.3; allowed is 0\.\.2",
        ),
        (
            {"interest_of": np.array([1, 2])},
            r"interest_of is \(2,\), but there are 4 openings",
        ),
        ({"interests": np.zeros((3, 4), dtype=np.int32)}, "interests is int32"),
        (
            {"track_factors": np.zeros((TRACKS, 3), dtype=np.float32)},
            r"interests is \(3, 4\), but there are 3 factors",
        ),
        (
            {"interest_change": np.zeros((4, 4), dtype=np.float32)},
            r"interest_change is float32 \(4, 4\), expected f with 0 axes",
        ),
        (
            {"covariance": -np.eye(4, dtype=np.float32)},
            "covariance is not that of any vectors",
        ),
        (
            {"new_map": np.ones((4, 5), dtype=np.float32)},
            r"new_map is \(4, 5\), but there are 4 factors",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    publish_session_model(tmp_path, **changes)
    with pytest.raises(ModelError, match=f"session_model.npz: {message}"):
        load(tmp_path)


def _without_an_array(file: Path) -> None:
    made = arrays()
    del made["interests"]
    np.savez(file, **made)


def _with_an_object(file: Path) -> None:
    np.savez(file, **arrays(dispersion=np.array([{}, None, 1], dtype=object)))


@pytest.mark.parametrize(
    "damage",
    [_without_an_array, _with_an_object, lambda file: file.write_bytes(b"PK no zip")],
)
def test_a_damaged_model_is_refused(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = publish_session_model(tmp_path)
    damage(folder / "session_model.npz")
    with pytest.raises(ModelError, match=r"session_model\.npz"):
        load(tmp_path)
    update_manifest(folder, "session_model.npz")
    with pytest.raises(ModelError, match=r"session_model\.npz: cannot be read"):
        load(tmp_path)
