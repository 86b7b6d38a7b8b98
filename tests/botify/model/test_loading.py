import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify.errors import ModelError
from botify.model.factors import FACTORS
from botify.model.model import Model
from botify.service import load_configured
from botify.settings import Settings
from tests.botify.exports import (
    edit_manifest,
    make_settings,
    publish,
    random_lists,
    update_manifest,
)
from tests.botify.model.conftest import ALS, TRACKS

ALL_FILES = ("recommendations.jsonl", "factors.npz")


def load(settings: Settings) -> Model:
    return load_configured(settings)


def test_lists_are_found_by_id_whether_ids_are_dense_sorted_or_not(
    tmp_path: Path, catalogue_file: Path
) -> None:
    lists = {9_000_000_000: [1, 2, 3], 4: [5], 0: [], 77: [59, 0]}
    publish(tmp_path, "one", lists, catalogue=catalogue_file)
    found = load(make_settings(tmp_path, catalogue_file)).recommendations
    assert {user: found.list_of(user) for user in lists} == lists
    assert found.list_of(5) == found.list_of(9_000_000_001) == []
    assert sorted(found.tracks.tolist()) == found.most_listed(9)


def test_the_most_listed_tracks_are_popular(
    tmp_path: Path, catalogue_file: Path
) -> None:
    publish(
        tmp_path, "one", {0: [3, 1], 1: [3, 2], 2: [2, 3]}, catalogue=catalogue_file
    )
    assert load(make_settings(tmp_path, catalogue_file)).popular == [3, 2, 1]


def test_only_what_a_recommender_asks_for_is_loaded(
    tmp_path: Path, settings: Settings
) -> None:
    bare = make_settings(tmp_path, settings.catalogue, fallback={"unknown": []})
    assert load(bare).get(FACTORS) is None
    assert load(settings).get(FACTORS) is not None


def test_no_object_is_kept_for_a_listener(tmp_path: Path, catalogue_file: Path) -> None:
    publish(tmp_path, "one", random_lists(5000, TRACKS), catalogue=catalogue_file)
    lists = load(make_settings(tmp_path, catalogue_file)).recommendations
    held = (lists.ids, lists.starts, lists.ends, lists.tracks)
    assert sum(array.nbytes for array in held) == 5000 * (3 * 8 + 30 * 4)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_changed_truncated_or_missing_file_is_refused(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "versions" / "one" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with pytest.raises(
        ModelError,
        match=f"{name}: {len(whole) - 5} bytes found, the manifest says {len(whole)}",
    ):
        load(settings)
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(ModelError, match=name):
        load(settings)
    file.unlink()
    with pytest.raises(ModelError, match=f"{name}: cannot be read"):
        load(settings)


def _line_edit(text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "recommendations.jsonl"
        lines = file.read_text().splitlines()
        lines[3] = text
        file.write_text("\n".join(lines) + "\n")
        update_manifest(folder, file.name)

    return edit


def _factors(**arrays: Any) -> Callable[[Path], None]:  # noqa: ANN401  whatever NumPy saves
    def edit(folder: Path) -> None:
        np.savez(folder / "factors.npz", **arrays)
        update_manifest(folder, "factors.npz")

    return edit


def _history(counts: list[int], heard: list[int]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        users, tracks, values = (
            np.arange(len(counts)),
            np.arange(60),
            np.ones(len(heard)),
        )
        arrays: dict[str, Any] = {
            "users": users,
            "tracks": tracks,
            "counts": np.array(counts),
            "values": values,
        }
        np.savez(folder / "history.npz", heard=np.array(heard), **arrays)
        update_manifest(folder, "history.npz")
        edit_manifest(folder, parameters=ALS)

    return edit


def _manifest(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder, **changes)


def _pack(folder: Path) -> None:
    np.savez_compressed(
        folder / "factors.npz",
        tracks=np.arange(60),
        item_factors=np.zeros((60, 100), np.float32),
    )
    update_manifest(folder, "factors.npz")


def _claim(folder: Path, shape: tuple[int, ...]) -> None:
    """Factors whose header claims a shape that is not in the file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    tracks = io.BytesIO()
    np.save(tracks, np.arange(60))
    with zipfile.ZipFile(folder / "factors.npz", "w") as archive:
        archive.writestr("tracks.npy", tracks.getvalue())
        archive.writestr("item_factors.npy", header.getvalue() + b"\0" * 64)
    update_manifest(folder, "factors.npz")


def _link(folder: Path, name: str) -> None:
    outside = folder.parent.parent / name
    (folder / name).replace(outside)
    (folder / name).symlink_to(outside)


def _say(folder: Path, **facts: int) -> None:
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    edit_manifest(
        folder,
        files=files | {"recommendations.jsonl": files["recommendations.jsonl"] | facts},
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_line_edit('{"user": 3, "tracks": [1, 60]}'), "<= 59 - at `$.tracks[1]`"),
        (_line_edit('{"user": 3, "tracks": [1, -4]}'), "recommendations.jsonl:4: "),
        (_line_edit('{"user": 3, "tracks": ["1"]}'), "recommendations.jsonl:4: "),
        (_line_edit('{"user": 3.5, "tracks": [1]}'), "recommendations.jsonl:4: "),
        (_line_edit('{"user": 3}'), "recommendations.jsonl:4: "),
        (_line_edit('{"user": 3, "tracks": [1]'), "recommendations.jsonl:4: "),
        (_line_edit("[]"), "recommendations.jsonl:4: "),
        (
            _line_edit('{"user": -2, "tracks": [1]}'),
            "Expected `int` >= 0 - at `$.user`",
        ),
        (
            _line_edit('{"user": 99, "tracks": [1]}, {"user": 98, "tracks": [1]}'),
            "recommendations.jsonl:4: ",
        ),
        (_manifest(schema=2), "manifest.json: Invalid enum value 2 - at `$.schema`"),
        (_manifest(files={}), "not in the manifest"),
        (_manifest(created_at="yesterday"), "created_at"),
        (
            _manifest(data={"catalogue": {"sha256": "0" * 64, "tracks": 5}}),
            "trained on another catalogue, of 5 tracks",
        ),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: "),
        (
            lambda folder: (folder / "manifest.json").unlink(),
            "manifest.json: cannot be read",
        ),
        (
            _factors(tracks=np.arange(3), item_factors=np.ones((4, 2))),
            "item_factors is (4, 2), but there are 3 tracks",
        ),
        (_factors(tracks=np.arange(60), item_factors=np.full((60, 2), np.nan)), "NaN"),
        (
            _factors(tracks=np.array([60]), item_factors=np.ones((1, 2))),
            "tracks has 60..60; allowed is 0..59",
        ),
        (
            _factors(tracks=np.array([{}], dtype=object), item_factors=np.ones((1, 2))),
            "factors.npz: cannot be read",
        ),
        (
            _factors(tracks=np.arange(4), item_factors=np.ones((4, 2), np.int32)),
            "item_factors is int32 (4, 2), expected f with 2 axes",
        ),
        (_factors(tracks=np.arange(3)), "factors.npz: cannot be read"),
        (_pack, "tracks.npy is compressed"),
        (
            _history(counts=[2, 1], heard=[0, 1, 60]),
            "heard has 0..60; allowed is 0..59",
        ),
        (_history(counts=[2, 2], heard=[0, 1, 2]), "counts add up to 4, not 3 tracks"),
        (
            _history(counts=[-1, 4], heard=[0, 1, 2]),
            "counts has -1..4; allowed is 0..3",
        ),
        (lambda folder: _claim(folder, (10**6, 10**6)), "factors.npz: cannot be read"),
        (lambda folder: _claim(folder, (2**40, 2**40)), "factors.npz: cannot be read"),
        (
            lambda folder: _link(folder, "factors.npz"),
            "factors.npz: a link that leads out of",
        ),
        (
            lambda folder: _link(folder, "recommendations.jsonl"),
            "a link that leads out of",
        ),
        (lambda folder: _say(folder, bytes=-1), "bytes"),
        (_manifest(padding="x" * 2**20), "bytes found, at most 1048576 are read"),
        (
            _manifest(
                files={
                    "../../../etc/passwd": {"sha256": "0" * 64, "bytes": 1, "rows": 1}
                }
            ),
            "not in the manifest",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    settings: Settings, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tmp_path / "versions" / "one")
    with pytest.raises(ModelError) as caught:
        load(settings)
    assert message in str(caught.value)


def test_no_file_is_read_as_a_pickle(settings: Settings, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    file = tmp_path / "versions" / "one" / "factors.npz"
    file.write_bytes(buffer.getvalue())
    update_manifest(file.parent, file.name)
    with pytest.raises(ModelError, match=r"factors\.npz: cannot be read"):
        load(settings)
