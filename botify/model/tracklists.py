"""Lists of tracks by id, a listener's or a track's, in compact arrays; read from exported JSON lines."""

from array import array
from dataclasses import dataclass
from io import BufferedReader
from typing import Annotated, Any

import msgspec
import numpy as np

from botify.errors import ModelError
from looplib.arrays import Int32Array, IntArray

NO_TRACK = -1
_CELLS_A_TRACK, _FEW_CELLS = 8, 1_000_000
_CHUNK = 2**20


@dataclass(frozen=True)
class TrackLists:
    """For each id a list of tracks, best first."""

    ids: IntArray  # (rows,), ascending
    tracks: Int32Array  # (rows, length of the longest list), NO_TRACK after the end of a shorter one
    counts: IntArray  # (tracks of the catalogue,): how many lists hold each

    def list_of(self, of: int) -> list[int]:
        """Return the list of one id, empty if there is none."""
        row = of
        ids = self.ids
        if of >= len(ids) or ids[of] != of:  # ids are mostly 0..n-1, and searching takes longer
            row = int(ids.searchsorted(of))
            if row == len(ids) or ids[row] != of:
                return []
        tracks: list[int] = self.tracks[row].tolist()
        if tracks[-1] == NO_TRACK:
            del tracks[tracks.index(NO_TRACK) :]
        return tracks

    def lists_of(self, of: IntArray) -> Int32Array:
        """Return the lists of many ids, (…, length of the longest list); of an id without list all `NO_TRACK`."""
        rows = np.minimum(self.ids.searchsorted(of), len(self.ids) - 1)
        return np.where((self.ids[rows] == of)[..., None], self.tracks[rows], np.int32(NO_TRACK))


def read_track_lists(file: BufferedReader, key: str, value: str, rows: int | None, tracks: int) -> TrackLists:
    """Read lines such as `{"user": 7, "tracks": [3, 1]}`.

    Args:
        file: The file, open.
        key: The field with the id.
        value: The field with the list.
        rows: How many lines the manifest says there are.
        tracks: Tracks of the catalogue.

    Raises:
        ModelError: The file cannot be read, or a line is something else; the message names the line.
    """
    id_type = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    list_type = list[Annotated[int, msgspec.Meta(ge=0, lt=tracks)]]
    line_type = msgspec.defstruct("Line", [("id", id_type), ("tracks", list_type)], rename={"id": key, "tracks": value})
    decode = msgspec.json.Decoder(line_type).decode
    ids_read, lengths_read, tracks_read = array("q"), array("q"), array("i")  # compact, and grow without a copy
    path = file.name
    try:
        for text in file:
            line: Any = decode(text)
            ids_read.append(line.id)
            lengths_read.append(len(line.tracks))
            tracks_read.fromlist(line.tracks)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        expected = f'{{"{key}": id, "{value}": [ids]}} is expected'
        raise ModelError(f"{path}:{len(ids_read) + 1}: {expected}; {error}") from None
    if len(ids_read) != rows or not rows:
        raise ModelError(f"{path}: {len(ids_read)} lines found, the manifest says {rows}")
    ids, cells = np.frombuffer(ids_read, np.int64), np.frombuffer(tracks_read, np.int32)
    table = _table(path, cells, np.frombuffer(lengths_read, np.int64))
    if not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, table = ids[order], table[order]
        repeated = np.flatnonzero(ids[1:] == ids[:-1])
        if len(repeated):
            raise ModelError(f"{path}: {key} {ids[repeated[0]]} has two lines")
    counts = np.zeros(tracks, dtype=np.int64)
    for start in range(0, len(cells), _CHUNK):  # counting takes a copy
        counts += np.bincount(cells[start : start + _CHUNK], minlength=tracks)
    return TrackLists(ids, table, counts)


def _table(path: str, cells: Int32Array, lengths: IntArray) -> Int32Array:
    """Arrange lists that follow one another in rows, without a copy if all have one length."""
    rows, width = len(lengths), max(1, int(lengths.max()))
    if len(cells) == rows * width:
        return cells.reshape(rows, width)
    if rows * width > _CELLS_A_TRACK * len(cells) + _FEW_CELLS:
        raise ModelError(f"{path}: a list of {width} tracks among {rows} is too long; all take its memory")
    table = np.full((rows, width), NO_TRACK, dtype=np.int32)
    table[np.arange(width) < lengths[:, None]] = cells
    return table
