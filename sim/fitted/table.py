"""Listening as a table of user, track and weight: CSV with a header or JSON lines, either of them gzipped or not."""

import csv
import gzip
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from looplib.arrays import FloatArray, IntArray
from sim.errors import InteractionsError
from sim.fitted.factors import Ids
from sim.worlds.files import first_fault

_SUFFIXES = (".csv", ".jsonl", ".json", ".ndjson")
_GZIP = ".gz"
_LARGEST_WEIGHT = 1e15  # so that sums of squares stay numbers


class _Play(BaseModel):
    """A row of a file; other columns are passed over."""

    user: int | str
    track: int | str
    weight: float = Field(ge=0, le=_LARGEST_WEIGHT)


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
        for line, play in _read_plays(path):
            for name, own_id, known, column in (("user", play.user, users, user), ("track", play.track, tracks, track)):
                if (number := known.get(str(own_id))) is None:
                    raise InteractionsError(f"{path}:{line}: {name} {own_id!r} is not in the export's factors")
                column.append(number)
            weight.append(play.weight)
        if len(user) == before:
            raise InteractionsError(f"{path}: holds no interactions")
    columns = np.frombuffer(user, np.int64), np.frombuffer(track, np.int64), np.frombuffer(weight, np.float64)
    table = ListeningTable.of(len(users), len(tracks), *columns)
    if not len(table.weight):
        raise InteractionsError(f"{', '.join(map(str, files))}: every weight is 0; some above 0 are needed")
    return table


def _read_plays(path: Path) -> Iterator[tuple[int, _Play]]:
    """Yield the rows of a file, each with its line number."""
    suffix = path.with_suffix("").suffix if path.suffix == _GZIP else path.suffix
    if suffix not in _SUFFIXES:
        raise InteractionsError(f"{path}: a file name on {', '.join(_SUFFIXES)} is expected, {_GZIP} after it")
    line = 1
    try:
        with (gzip.open if path.suffix == _GZIP else open)(path, "rt", encoding="utf-8-sig", newline="") as text:
            if suffix == ".csv":
                reader = csv.DictReader(text, restkey="", strict=True)
                for record in reader:
                    line = reader.line_num
                    if "" in record:
                        raise InteractionsError(f"{path}:{line}: more values than columns")
                    yield line, _Play.model_validate(record)
            else:
                for line, content in enumerate(text, start=1):
                    if not content.isspace():
                        yield line, _Play.model_validate_json(content)
    except ValidationError as error:
        raise InteractionsError(f"{path}:{line}: {first_fault(error)}") from None
    except csv.Error as error:
        raise InteractionsError(f"{path}: not CSV after line {line} ({error})") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InteractionsError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
