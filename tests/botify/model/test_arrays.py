import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify.settings import ServiceSettings
from tests.botify.exports import edit_manifest, update_manifest
from tests.botify.model.conftest import ALS, TRACKS, Damage, refusal


def factors(save: Callable[..., None] = np.savez, **arrays: Any) -> Damage:  # noqa: ANN401  whatever NumPy saves
    return lambda version: save(version / "factors.npz", **arrays)


def history(counts: list[int], heard: list[int]) -> Damage:
    def write(version: Path) -> None:
        np.savez(
            version / "history.npz",
            users=np.arange(len(counts)),
            tracks=np.arange(TRACKS),
            counts=np.array(counts),
            heard=np.array(heard),
            values=np.ones(len(heard)),
        )
        update_manifest(version, "history.npz")
        edit_manifest(version, parameters=ALS)

    return write


def claim(*shape: int) -> Damage:
    """Write factors whose header claims a shape that is not in the file."""

    def write(version: Path) -> None:
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        header, tracks = io.BytesIO(), io.BytesIO()
        np.lib.format.write_array_header_1_0(header, facts)
        np.save(tracks, np.arange(60))
        with zipfile.ZipFile(version / "factors.npz", "w") as archive:
            archive.writestr("tracks.npy", tracks.getvalue())
            archive.writestr("item_factors.npy", header.getvalue() + b"\0" * 64)

    return write


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            factors(tracks=np.arange(3), item_factors=np.ones((4, 2))),
            "item_factors is (4, 2), but there are 3 tracks",
        ),
        (
            factors(tracks=np.arange(4), item_factors=np.ones((4, 2), np.int32)),
            "item_factors is int32 (4, 2), expected f with 2 axes",
        ),
        (factors(tracks=np.arange(60), item_factors=np.full((60, 2), np.nan)), "NaN"),
        (
            factors(tracks=np.arange(60), item_factors=np.ones((60, 4097), "f4")),
            "item_factors has 4097 columns; allowed are 4096",
        ),
        (
            factors(tracks=np.array([60]), item_factors=np.ones((1, 2))),
            "tracks has 60..60; allowed is 0..59",
        ),
        (
            factors(tracks=np.array([{}], object), item_factors=np.ones((1, 2))),
            "factors.npz: cannot be read",
        ),
        (factors(tracks=np.arange(3)), "factors.npz: lacks item_factors.npy"),
        (
            factors(
                np.savez_compressed, tracks=np.arange(60), item_factors=np.zeros(60)
            ),
            "tracks.npy is compressed",
        ),
        (claim(2**40, 2**40), "factors.npz: cannot be read"),
        (history([2, 1], [0, 1, 60]), "heard has 0..60; allowed is 0..59"),
        (history([2, 2], [0, 1, 2]), "counts add up to 4, not 3 tracks"),
        (history([-1, 4], [0, 1, 2]), "counts has -1..4; allowed is 0..3"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_reason(
    settings: ServiceSettings, version: Path, damage: Damage, message: str
) -> None:
    damage(version)
    update_manifest(version, "factors.npz")
    assert message in refusal(settings)
