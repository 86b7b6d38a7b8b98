"""Columns of the catalogue as features of tracks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from looplib.categories import UNKNOWN
from recsys.dataset.features import (
    Columns,
    FeatureKind,
    make_features,
    read_columns,
)
from recsys.errors import StoreError

TRACKS = [f"t{number}" for number in range(20)]


def write(folder: Path, column: str, values: list[Any]) -> Path:
    file = folder / "tracks.json"
    lines = [
        json.dumps({"track": track, column: value})
        for track, value in zip(TRACKS, values, strict=False)
    ]
    file.write_text("\n".join(lines))
    return file


def test_numbers_of_features_do_not_depend_on_tracks_of_the_future() -> None:
    kinds: dict[str, FeatureKind] = {"album": "category", "year": "number"}
    columns: Columns = {
        "album": dict(zip(TRACKS, map(list, "bacbdaz"), strict=False)),
        "year": {track: 1990 + n for n, track in enumerate(TRACKS) if n != 2},
    }
    made = make_features(["x"] * 7, columns, kinds, TRACKS[:7], 4)
    assert made.groups.tolist() == [[0] * 7, [1, 0, 2, 1, 3, 0, 4]]
    known = np.array([1990, 1991, 1993])
    (years,) = made.split_points
    assert years[[0, 1, 3], 0] == pytest.approx((known - known.mean()) / known.std())
    assert years[2, 0] == 0
    older = make_features(["x"] * 4, columns, kinds, TRACKS[:4], 4)
    assert np.array_equal(older.groups, made.cut(4).groups)
    assert np.array_equal(older.points, made.cut(4).points)


def test_vectors_have_length_one_and_missing_categories_are_unknown() -> None:
    columns: Columns = {"v": {"t0": [3, 4], "t2": [0, 2]}, "album": {"t1": ["7"]}}
    kinds: dict[str, FeatureKind] = {"v": "vector", "album": "category"}
    made = make_features([""] * 3, columns, kinds, TRACKS[:3], 3)
    (vectors,) = made.split_points
    assert pytest.approx(np.array([[0.6, 0.8], [0, 1]])) == vectors[[0, 2]]
    assert vectors[1] == pytest.approx([0.3, 0.9])
    assert made.groups.tolist() == [[UNKNOWN] * 3, [UNKNOWN, 0, UNKNOWN]]


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        ("category", [["a"], "b"], r"track t0 has \['a'\]; a category is text or"),
        ("category", [{"a": 1}], "track t0 has .*; a category is text or"),
        ("categories", [["a", None]], "track t0 has .*; a categories is a list of"),
        ("categories", [7], "track t0 has 7; a categories is a list of"),
        ("date", ["2014-05-01", "May"], "track t1 has 'May'; a date is text such"),
        ("date", [2014], "track t0 has 2014; a date is text such as 2014-05-01"),
        ("number", [1, "1999"], "track t1 has '1999'; a number is a number up to 3e"),
        ("number", [1, True], "track t1 has True; a number"),
        ("number", [1, 10**400], "track t1 has 10000.*; a number"),
        ("vector", [[1.0, 2e38], [1.0, -4e38]], "track t1 has .*; a vector"),
        (
            "vector",
            [[1.0, 2], [1.0]],
            r"track t1 has \[1.0\]; a vector is a list of up",
        ),
        ("vector", [[0.1] * 1025], "a vector is a list of up to 1,024"),
        ("vector", [1.0], "track t0 has 1.0; a vector"),
        ("category", [None, ""], "no track has x; tracks have x"),
    ],
)
def test_a_column_of_another_kind_is_refused(
    tmp_path: Path, kind: FeatureKind, values: list[Any], problem: str
) -> None:
    with pytest.raises(StoreError, match=problem):
        read_columns(write(tmp_path, "x", values), {"x": kind})


def test_lists_of_categories_and_dates_are_read(tmp_path: Path) -> None:
    file = write(tmp_path, "genre", [["rock", 7], "pop|rock", None, ["7"]])
    read = read_columns(file, {"genre": "categories"})
    genres = [["rock", "7"], ["pop", "rock"], ["7"]]
    assert read == {"genre": dict(zip(["t0", "t1", "t3"], genres, strict=True))}
    made = make_features([""] * 4, read, {"genre": "categories"}, TRACKS[:4], 4)
    # a track with fewer categories than another repeats its own
    assert made.split_groups[1].tolist() == [[2, 1, UNKNOWN, 0], [0, 2, UNKNOWN, 0]]
    file = write(tmp_path, "day", ["2014-05-01", "2015-05-01T12:00:00Z"])
    days = read_columns(file, {"day": "date"})["day"]
    assert days["t1"] - days["t0"] == pytest.approx(365 / 365.25)


@pytest.mark.parametrize(
    "values", [["rock"] * 20, ["a", *[None] * 19]], ids=["constant", "rare"]
)
def test_a_column_without_information_is_left_out(
    tmp_path: Path, values: list[Any]
) -> None:
    file = write(tmp_path, "genre", values)
    assert read_columns(file, {"genre": "category"}) == {}


def test_a_number_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tracks.json"
    file.write_text('{"track": "t0", "year": 1}\n{"track": "t1", "year": 1e400}\n')
    with pytest.raises(StoreError, match=r"tracks\.json: Number out of range"):
        read_columns(file, {"year": "number"})


def test_an_unknown_column_names_those_that_are_there(tmp_path: Path) -> None:
    file = write(tmp_path, "album", ["a", "b"])
    with pytest.raises(StoreError, match="no track has genre; tracks have album"):
        read_columns(file, {"genre": "category"})
