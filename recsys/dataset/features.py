"""Read the features of tracks: columns of the catalogue beside title and artist."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import compress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from looplib.arrays import Float32Array, Int32Array, IntArray
from looplib.categories import number_categories
from looplib.next_play import split_points
from looplib.rerank import ARTIST
from recsys.errors import StoreError
from recsys.store.ids import read_catalogue

FeatureKind = Literal["category", "categories", "number", "date", "vector"]
CATEGORICAL = ("category", "categories")
Columns = Mapping[str, Mapping[str, Any]]  # values of a column, by track id as text
_MOST_DIMENSIONS = 1024
_LARGEST = 3e38  # the limit of float32
_FEWEST = 0.1  # share of the tracks that have a value
_EXPECTED: Mapping[FeatureKind, str] = {
    "category": "text or a number",
    "categories": "a list of texts or numbers, or text such as a|b",
    "number": f"a number up to {_LARGEST:g}",
    "date": "text such as 2014-05-01",
    "vector": f"a list of up to {_MOST_DIMENSIONS:,} numbers up to {_LARGEST:g}, always as many",
}


class Features(NamedTuple):
    """The features of all tracks of a dataset."""

    groups: (
        Int32Array  # categories, the artist first, shape (rows of all columns, tracks)
    )
    widths: IntArray  # rows of each column, shape (columns,)
    points: Float32Array  # numbers and vectors, shape (tracks, dimensions of all)
    dimensions: IntArray  # dimensions of each number or vector, shape (columns,)
    # columns of categories but the artist, then of numbers and vectors
    names: Sequence[str] = ()

    @classmethod
    def join(
        cls,
        groups: Sequence[Int32Array],
        points: Sequence[Float32Array],
        names: Sequence[str],
    ) -> "Features":
        """Join columns of categories, the artist first, and of numbers and vectors."""
        none = np.empty((groups[0].shape[1], 0), np.float32)
        return cls(
            np.vstack(groups),
            np.array([*map(len, groups)], np.int64),
            np.hstack([none, *points]),
            np.array([rows.shape[1] for rows in points], np.int64),
            names,
        )

    def drop(self, is_dropped: Sequence[bool]) -> "Features":
        """Drop columns; a flag for each, in the order of `names`."""
        is_kept = [True, *(not flag for flag in is_dropped)]  # the artist stays
        groups, points = self.split_groups, self.split_points
        return Features.join(
            [*compress(groups, is_kept)],
            [*compress(points, is_kept[len(groups) :])],
            [*compress(self.names, is_kept[1:])],
        )

    def group(self, name: str) -> Int32Array:
        """Return the categories of a column, shape (categories of a track, tracks)."""
        place = 0 if name == ARTIST else 1 + self.names.index(name)
        return self.split_groups[place]

    def cut(self, tracks: int) -> "Features":
        """Keep the first tracks."""
        return self._replace(
            groups=self.groups[:, :tracks], points=self.points[:tracks]
        )

    @property
    def split_groups(self) -> list[Int32Array]:
        """The categories, column by column, each of shape (categories of a track, tracks)."""
        return np.split(self.groups, np.cumsum(self.widths[:-1]))

    @property
    def split_points(self) -> list[Float32Array]:
        """The numbers and vectors, column by column."""
        return split_points(self.points, self.dimensions)


def read_columns(file: Path, kinds: Mapping[str, FeatureKind]) -> Columns:
    """Read columns of a catalogue, which `read_titles` can read.

    A column that is constant, or that less than a tenth of the tracks have, is left out.

    Raises:
        StoreError: No track has a column, a value is of another kind, or a number in the file is
            too large.
    """
    if not kinds:
        return {}
    lines = read_catalogue(file).splitlines()
    try:
        records = [msgspec.json.decode(line) for line in lines if line.strip()]
    except msgspec.DecodeError as error:  # numbers above 1e308, which titles may have
        raise StoreError(f"{file}: {error}") from None
    columns = {}
    for name, kind in kinds.items():
        values = {
            str(record["track"]): record[name]
            for record in records
            if record.get(name) not in (None, "", [])
        }
        if not values:
            there = ", ".join(
                sorted({key for row in records for key in row} - {"track"})
            )
            raise StoreError(
                f"{file}: features: no track has {name}; tracks have {there or 'no columns'}"
            )
        size = None
        for track, value in values.items():
            where = f"{file}: features.{name}: track {track}"
            values[track] = _read(value, kind, size, where)
            size = len(values[track]) if kind == "vector" else None
        is_constant = len({*map(str, values.values())}) == 1
        if not is_constant and len(values) >= _FEWEST * len(records):
            columns[name] = values
    return columns


def _read(value: Any, kind: FeatureKind, size: int | None, where: str) -> Any:  # noqa: ANN401  JSON
    """Check a value; return its categories as a list of texts, or a date as years.

    Raises:
        StoreError: The value is of another kind.
    """
    if kind == "categories" and isinstance(value, str):
        value = value.split("|")
    values = value if isinstance(value, list) else [value]
    is_number = all(
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and abs(number) <= _LARGEST
        for number in values
    )
    if kind == "vector":
        is_right = (
            isinstance(value, list)
            and is_number
            and len(value)
            in (range(1, _MOST_DIMENSIONS + 1) if size is None else (size,))
        )
    elif kind == "number":
        is_right = is_number and not isinstance(value, list)
    elif kind == "date":
        try:
            return date.fromisoformat(value[:10]).toordinal() / 365.25
        except (TypeError, ValueError):
            is_right = False
    else:
        is_right = isinstance(value, list) == (kind == "categories")
        is_right &= not any(isinstance(name, list | dict | None) for name in values)
    if not is_right:
        shown = f"{value!r}"[:80]
        raise StoreError(f"{where} has {shown}; a {kind} is {_EXPECTED[kind]}")
    return [*map(str, values)] if kind in CATEGORICAL else value


def make_features(
    artists: Sequence[str],
    columns: Columns,
    kinds: Mapping[str, FeatureKind],
    tracks: Sequence[str],
    trained: int,
) -> Features:
    """Number categories and scale numbers and vectors.

    No number depends on tracks that training lacks: their categories come last, and the scale is
    that of the other tracks. A missing number is the mean, and a missing vector the mean vector.

    Args:
        artists: Artist of each track, empty if unknown.
        columns: The columns of the catalogue.
        kinds: Their kinds.
        tracks: Ids of all tracks as text.
        trained: Number of the first tracks that exist in training.
    """
    signed = [[artist] if artist else [] for artist in artists]
    groups = [number_categories(signed, trained)]
    points: list[Float32Array] = []
    is_categorical = {name: kinds[name] in CATEGORICAL for name in columns}
    for name, column in columns.items():
        if is_categorical[name]:
            values = [column.get(track, []) for track in tracks]
            groups.append(number_categories(values, trained))
            continue
        size = len(np.atleast_1d(next(iter(column.values()))))
        missing = np.full(size, np.nan)
        rows = [np.atleast_1d(column.get(track, missing)) for track in tracks]
        points.append(_scale(np.array(rows, np.float64), trained))
    names = sorted(columns, key=is_categorical.__getitem__, reverse=True)
    return Features.join(groups, points, names)


def _scale(points: np.ndarray, trained: int) -> Float32Array:
    """Scale vectors, shape (tracks, dimensions), to length 1, and numbers to variance 1."""
    is_vector = points.shape[1] > 1
    if is_vector:
        length = np.sqrt((points**2).sum(axis=1, keepdims=True))
        points = points / np.where(length > 0, length, 1)
    learned = points[:trained]
    learned = learned[np.isfinite(learned[:, 0])]
    if not len(learned):
        return np.zeros(points.shape, np.float32)
    mean = learned.mean(axis=0)
    filled = np.where(np.isfinite(points), points, mean)
    if not is_vector:
        filled = (filled - mean) / (learned.std() or 1.0)
    return filled.astype(np.float32)
