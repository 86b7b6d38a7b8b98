from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify.errors import ModelError
from botify.service import load_configured
from tests.botify.exports import (
    make_settings,
    publish,
    random_lists,
    update_manifest,
    write_catalogue,
)

ARRAYS: dict[str, Any] = {
    "tracks": np.arange(4),
    "near_counts": np.array([2, 1, 0, 0]),
    "near_tracks": np.array([1, 2, 3]),
    "near_values": np.array([0.5, 0.5, 1.0]),
    "users": np.array([8, 3]),
    "own_counts": np.array([0, 1]),
    "own_tracks": np.array([2]),
    "own_values": np.array([0.1]),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"near_tracks": np.array([1, 2, 4])},
            r"near_tracks has 1\.\.4; allowed is 0\.\.3",
        ),
        (
            {"near_counts": np.array([2, 2, 0, 0])},
            "near_counts add up to 4, not 3 tracks",
        ),
        ({"near_counts": np.array([2, -1, 1, 1])}, r"near_counts has -1\.\.2"),
        ({"own_values": np.array([np.nan])}, "own_values holds NaN"),
        ({"users": np.array([8])}, r"own_counts is \(2,\), but there are 1 users"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", range(4))
    folder = publish(tmp_path, "one", random_lists(3, 4, 2), catalogue=catalogue)
    np.savez(folder / "next_track.npz", **{**ARRAYS, **changes})
    update_manifest(folder, "next_track.npz")
    with pytest.raises(ModelError, match=message) as found:
        load_configured(make_settings(tmp_path, catalogue, "next_track"))
    assert "\n" not in str(found.value)
