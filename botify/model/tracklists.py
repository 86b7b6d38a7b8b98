"""Lists of tracks by id, a listener's or a track's, in one compact array; read from exported JSON lines."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from botify.errors import ModelError
from looplib.arrays import Int32Array, IntArray

# Small enough that a request never waits long for a reload that holds the interpreter meanwhile.
CHUNK_BYTES = 256 * 1024
NO_TRACK = -1
_CELLS_A_BYTE, _FEW_CELLS = 4, 1_000_000
_BLOCK_ROWS = 10_000


@dataclass(frozen=True)
class TrackLists:
    """For each id a list of tracks, best first."""

    ids: IntArray  # (rows,), ascending
    tracks: Int32Array  # (rows, length), NO_TRACK after the end of a shorter list

    def list_of(self, of: int) -> list[int]:
        """The list of one id, empty if there is none."""
        row = of
        ids = self.ids
        if of >= len(ids) or ids[of] != of:  # ids are mostly 0..n-1; searching takes its time
            row = int(ids.searchsorted(of))
            if row == len(ids) or ids[row] != of:
                return []
        tracks: list[int] = self.tracks[row].tolist()
        if tracks[-1] == NO_TRACK:
            del tracks[tracks.index(NO_TRACK) :]
        return tracks

    def lists_of(self, of: IntArray) -> Int32Array:
        """The lists of many ids, (…, length); of an id without list all `NO_TRACK`."""
        rows = np.minimum(self.ids.searchsorted(of), len(self.ids) - 1)
        return np.where((self.ids[rows] == of)[..., None], self.tracks[rows], np.int32(NO_TRACK))

    def counts(self, tracks: int) -> IntArray:
        """How many lists hold each of the tracks 0..tracks-1."""
        counts = np.zeros(tracks, dtype=np.int64)
        for start in range(
            0, len(self.tracks), _BLOCK_ROWS
        ):  # the copies that this takes would be larger than the lists
            block = self.tracks[start : start + _BLOCK_ROWS]
            counts += np.bincount(block[block != NO_TRACK], minlength=tracks)
        return counts


def read_track_lists(path: Path, key: str, value: str, rows: int, tracks: int) -> tuple[TrackLists, str]:
    """Reads lines such as `{"user": 7, "tracks": [3, 1]}`.

    Args:
        path: The file.
        key: The field with the id.
        value: The field with the list.
        rows: How many lines there must be.
        tracks: Tracks of the catalogue.

    Returns:
        The lists, and the SHA-256 of the file.

    Raises:
        ModelError: The file cannot be read, or a line is none of these; the message names it.
    """
    ids = np.empty(rows, dtype=np.int64)
    lists = np.full((rows, 0), NO_TRACK, dtype=np.int32)
    digest = hashlib.sha256()
    done = 0
    try:
        with path.open("rb") as file:
            for lines in _chunks(file):
                if done + len(lines) > rows:
                    raise ModelError(f"{path}: over {rows} lines found, the manifest says {rows}")
                for line in lines:
                    digest.update(line)
                some_ids, some_lists = _parse_lines(path, lines, done, key, value, tracks)
                end = done + len(lines)
                if some_lists.shape[1] > lists.shape[1]:
                    _check_width(path, rows, some_lists.shape[1])
                    wider = np.full((rows, some_lists.shape[1]), NO_TRACK, dtype=np.int32)
                    wider[:done, : lists.shape[1]] = lists[:done]
                    lists = wider
                ids[done:end] = some_ids
                lists[done:end, : some_lists.shape[1]] = some_lists
                done = end
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if done != rows or not rows:
        raise ModelError(f"{path}: {done} lines found, the manifest says {rows}")
    return _sorted_lists(path, key, ids, lists), digest.hexdigest()


def _check_width(path: Path, rows: int, width: int) -> None:
    """Lists of one length take two bytes an entry and more; one long list among many would take any memory."""
    size = path.stat().st_size
    if rows * width > _CELLS_A_BYTE * size + _FEW_CELLS:
        raise ModelError(f"{path}: a list of {width} tracks among {rows} is too long for a file of {size} bytes")


def _sorted_lists(path: Path, key: str, ids: IntArray, lists: Int32Array) -> TrackLists:
    if not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, lists = ids[order], lists[order]
        repeated = np.flatnonzero(ids[1:] == ids[:-1])
        if len(repeated):
            raise ModelError(f"{path}: {key} {ids[repeated[0]]} has two lines")
    if ids[0] < 0:
        raise ModelError(f"{path}: {key} {ids[0]} found, ids are 0 or more")
    return TrackLists(ids, lists if lists.shape[1] else np.full((len(ids), 1), NO_TRACK, dtype=np.int32))


def _chunks(file: IO[bytes]) -> Iterator[list[bytes]]:
    while lines := file.readlines(CHUNK_BYTES):
        yield lines


def _parse_lines(
    path: Path, lines: list[bytes], before: int, key: str, value: str, tracks: int
) -> tuple[IntArray, Int32Array]:
    try:
        records = orjson.loads(b"[" + b",".join(lines) + b"]")
        ids = _integers([record[key] for record in records])
        lists = [record[value] for record in records]
        flat = _integers(list(chain.from_iterable(lists)))
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ModelError(_fault(path, lines, before, key, value)) from None
    if len(records) != len(lines):
        raise ModelError(_fault(path, lines, before, key, value))
    if len(flat) and not (flat.min() >= 0 and flat.max() < tracks):
        wrong = flat[(flat < 0) | (flat >= tracks)][0]
        raise ModelError(f"{path}: track {wrong} found; the catalogue has 0..{tracks - 1}")
    _check_width(path, len(lists), int(lengths.max()))
    table = np.full((len(lists), int(lengths.max())), NO_TRACK, dtype=np.int32)
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return ids, table


def _integers(values: list[Any]) -> IntArray:
    found = np.array(values if values else [], dtype=None if values else np.int64)
    if found.dtype != np.int64 or found.ndim != 1:
        raise TypeError("integers expected")
    return found


def _fault(path: Path, lines: list[bytes], before: int, key: str, value: str) -> str:
    """Which of some lines is wrong."""
    for number, line in enumerate(lines, start=before + 1):
        try:
            record = orjson.loads(line)
            _integers([record[key]])
            _integers(list(record[value]))
        except (ValueError, KeyError, TypeError, OverflowError):
            return f'{path}:{number}: {{"{key}": id, "{value}": [ids]}} is expected'
    return f"{path}: not one object a line"
