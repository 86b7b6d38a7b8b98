"""Listening as a table of user, track and weight: CSV with a header or JSON lines, either of them gzipped or not."""

import csv
import gzip
import math
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from looplib.arrays import FloatArray, IntArray
from sim.errors import InteractionsError
from sim.fitted.factors import Ids

_COLUMNS = ("user", "track", "weight")
_CSV = ".csv"
_SUFFIXES = (_CSV, ".jsonl", ".json", ".ndjson")
_GZIP = ".gz"
_LARGEST_WEIGHT = 1e15  # so that sums of squares stay numbers


@dataclass(frozen=True)
class ListeningTable:
    """Weights above 0 of different pairs, by user and then by track."""

    users: int
    tracks: int
    user: IntArray  # (pairs,) ascending
    track: IntArray  # (pairs,)
    weight: FloatArray  # (pairs,)

    @classmethod
    def of(cls, users: int, tracks: int, user: IntArray, track: IntArray, weight: FloatArray) -> "ListeningTable":
        """Add up the weights of equal pairs, and leave out pairs without weight."""
        pair, position = np.unique(user * tracks + track, return_inverse=True)
        sums = np.bincount(position, weights=weight, minlength=len(pair)).astype(np.float64)
        pair, sums = pair[sums > 0], sums[sums > 0]
        return cls(users, tracks, pair // tracks, pair % tracks, sums)

    @cached_property
    def offsets(self) -> IntArray:
        """(users + 1,): user u has the pairs offsets[u]..offsets[u + 1] - 1."""
        return np.searchsorted(self.user, np.arange(self.users + 1))

    @cached_property
    def popularity(self) -> FloatArray:
        """(tracks,) the weight of each track."""
        return np.bincount(self.track, weights=self.weight, minlength=self.tracks).astype(np.float64)

    def shares(self) -> "ListeningTable":
        """Return the table in which each listener's weights add up to 1."""
        totals = np.bincount(self.user, weights=self.weight, minlength=self.users)
        return replace(self, weight=self.weight / totals[self.user])

    def only(self, users: IntArray) -> "ListeningTable":
        """Return the table of some users, ascending, who are numbered anew in this order."""
        number = np.full(self.users, -1)
        number[users] = np.arange(len(users))
        kept = number[self.user] >= 0
        return ListeningTable(len(users), self.tracks, number[self.user[kept]], self.track[kept], self.weight[kept])


def read_table(files: Sequence[Path], user_ids: Ids, track_ids: Ids) -> ListeningTable:
    """Read the interactions of some files together; users and tracks are numbered in the order of their ids.

    Raises:
        InteractionsError: A file cannot be read, lacks a column or has no rows, an id is unknown, a weight is no number
            from 0 to `_LARGEST_WEIGHT`, or all weights are 0; the message names the file and the line.
    """
    users, tracks = ({str(own_id): number for number, own_id in enumerate(ids)} for ids in (user_ids, track_ids))
    user, track, weight = array("q"), array("q"), array("d")
    for path in files:
        before = len(user)
        for line, record in _read_records(path):
            try:
                user.append(users[str(record["user"])])
                track.append(tracks[str(record["track"])])
                weight.append(_weight(record["weight"]))
            except (KeyError, ValueError, TypeError):
                raise InteractionsError(f"{path}:{line}: {_fault(record, users, tracks)}") from None
        if len(user) == before:
            raise InteractionsError(f"{path}: holds no interactions")
    columns = np.frombuffer(user, np.int64), np.frombuffer(track, np.int64), np.frombuffer(weight, np.float64)
    table = ListeningTable.of(len(users), len(tracks), *columns)
    if not len(table.weight):
        raise InteractionsError(f"{', '.join(map(str, files))}: every weight is 0; some above 0 are needed")
    return table


def _read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = path.with_suffix("").suffix if path.suffix == _GZIP else path.suffix
    if suffix not in _SUFFIXES:
        raise InteractionsError(f"{path}: a file name on {', '.join(_SUFFIXES)} is expected, {_GZIP} after it")
    read = _read_csv if suffix == _CSV else _read_json_lines
    try:
        with (gzip.open if path.suffix == _GZIP else open)(path, "rt", encoding="utf-8-sig", newline="") as text:
            yield from read(path, text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InteractionsError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _read_csv(path: Path, text: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text, restkey="", restval="", strict=True)
    try:
        for record in reader:
            if "" in record:
                raise InteractionsError(f"{path}:{reader.line_num}: more values than columns")
            yield reader.line_num, record
    except csv.Error as error:
        raise InteractionsError(f"{path}:{reader.reader.line_num}: not CSV ({error})") from None


def _read_json_lines(path: Path, text: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text, start=1):
        if content.isspace():
            continue
        try:
            record = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise InteractionsError(f"{path}:{line}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise InteractionsError(f"{path}:{line}: an object is expected, found {type(record).__name__}")
        yield line, record


def _weight(value: Any) -> float:  # noqa: ANN401  whatever the file holds
    weight = math.nan if isinstance(value, bool) else float(value)
    if not 0 <= weight <= _LARGEST_WEIGHT:
        raise ValueError
    return weight


def _fault(record: dict[str, Any], users: Mapping[str, int], tracks: Mapping[str, int]) -> str:
    if missing := [column for column in _COLUMNS if column not in record]:
        return f"no {', '.join(missing)} among the columns ({', '.join(record)[:100] or 'none'})"
    for column, known in (("user", users), ("track", tracks)):
        if str(record[column]) not in known:
            return f"{column} {str(record[column])[:100]!r} is not in the export's factors"
    return f"weight {str(record['weight'])[:100]!r} found, a number from 0 to {_LARGEST_WEIGHT:g} is expected"
