"""Reads interactions: CSV with a header, or JSON lines, either of them gzipped or not; columns user, track, weight."""

import csv
import gzip
import math
import zlib
from array import array
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import orjson

from sim.errors import InteractionsError
from sim.fitted.listening_table import ListeningTable

COLUMNS = ("user", "track", "weight")
CSV = (".csv",)
JSON_LINES = (".jsonl", ".json", ".ndjson")
LARGEST_WEIGHT = 1e15  # so that sums of squares stay numbers
_GZIP = ".gz"

_Row = tuple[int, object, object, object]  # the line, and what stands in the columns


def read_table(files: Sequence[Path], users: Mapping[str, int], tracks: Mapping[str, int]) -> ListeningTable:
    """Reads the interactions of some files together.

    Args:
        files: The files.
        users: The number of each user, by id.
        tracks: The number of each track, by id.

    Raises:
        InteractionsError: A file cannot be read, lacks a column or has no rows, an id is unknown, a weight is no number
            from 0 to `LARGEST_WEIGHT`, or nobody has any weight; the message names the file and the line.
    """
    user, track, weight = array("q"), array("q"), array("d")
    for path in files:
        before = len(user)
        with closing(_read_rows(path)) as rows:  # a wrong row ends the reading early
            for line, row_user, row_track, row_weight in rows:
                user.append(_number(users, row_user, path, line, "user"))
                track.append(_number(tracks, row_track, path, line, "track"))
                weight.append(_weight(row_weight, path, line))
        if len(user) == before:
            raise InteractionsError(f"{path}: holds no interactions")
    table = ListeningTable.of(
        len(users),
        len(tracks),
        np.frombuffer(user, dtype=np.int64),
        np.frombuffer(track, dtype=np.int64),
        np.frombuffer(weight, dtype=np.float64),
    )
    if not len(table.weight):
        raise InteractionsError(f"{', '.join(map(str, files))}: every weight is 0; some above 0 are needed")
    return table


def _read_rows(path: Path) -> Generator[_Row, None, None]:
    suffix = path.with_suffix("").suffix if path.suffix == _GZIP else path.suffix
    if suffix not in (*CSV, *JSON_LINES):
        raise InteractionsError(
            f"{path}: a file name on {', '.join((*CSV, *JSON_LINES))} is expected, {_GZIP} after it"
        )
    try:
        with _open(path) as file:
            yield from _read_csv(path, file) if suffix in CSV else _read_json_lines(path, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InteractionsError(f"{path}: damaged ({error})") from None
    except OSError as error:
        raise InteractionsError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise InteractionsError(f"{path}: not UTF-8 ({error.reason})") from None


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == _GZIP else path.open("rb")


def _read_csv(path: Path, file: IO[bytes]) -> Generator[_Row, None, None]:
    with TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield from _read_csv_text(path, text)


def _read_csv_text(path: Path, text: Iterable[str]) -> Generator[_Row, None, None]:
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, [])
        if missing := [column for column in COLUMNS if column not in header]:
            raise InteractionsError(_lacks(path, 1, missing, header))
        places = [header.index(column) for column in COLUMNS]
        for row in reader:
            if not row:
                continue  # an empty line
            if len(row) != len(header):
                raise InteractionsError(f"{path}:{reader.line_num}: {len(row)} values found, {len(header)} expected")
            yield (reader.line_num, *(row[place] for place in places))  # type: ignore[misc]  # there are three
    except csv.Error as error:
        raise InteractionsError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _read_json_lines(path: Path, file: IO[bytes]) -> Generator[_Row, None, None]:
    for line, content in enumerate(file, start=1):
        if content.isspace():
            continue
        try:
            record: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise InteractionsError(f"{path}:{line}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise InteractionsError(f"{path}:{line}: an object is expected, found {type(record).__name__}")
        if missing := [column for column in COLUMNS if column not in record]:
            raise InteractionsError(_lacks(path, line, missing, list(record)))
        yield line, record["user"], record["track"], record["weight"]


def _lacks(path: Path, line: int, missing: Sequence[str], found: Sequence[str]) -> str:
    return f"{path}:{line}: no {', '.join(missing)} among the columns ({', '.join(found)[:100] or 'none'})"


def _number(known: Mapping[str, int], value: object, path: Path, line: int, column: str) -> int:
    number = known.get(str(value))
    if number is None:
        raise InteractionsError(f"{path}:{line}: {column} {str(value)[:100]!r} is not in the export's factors")
    return number


def _weight(value: object, path: Path, line: int) -> float:
    try:
        weight = float(value)  # type: ignore[arg-type]  # whatever it is not made for raises
    except (TypeError, ValueError):
        weight = math.nan
    if isinstance(value, bool) or not 0 <= weight <= LARGEST_WEIGHT:
        raise InteractionsError(
            f"{path}:{line}: weight {str(value)[:100]!r} found, a number from 0 to {LARGEST_WEIGHT:g} is expected"
        )
    return weight
