"""Lists of tracks by id, a listener's or a track's, in compact arrays.

Read from exported JSON lines.
"""

from array import array
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.catalogue import Catalogue, Text, WholeNumber, user_number
from looplib.arrays import Int32Array, IntArray

NO_TRACK = -1
_CELLS_A_TRACK, _FEW_CELLS = 8, 1_000_000
_CHUNK = 2**20


@dataclass(frozen=True)
class TrackLists:
    """For each id a list of tracks, best first."""

    ids: IntArray  # (rows,), ascending
    # (rows, length of the longest list), NO_TRACK after the end of a shorter one
    tracks: Int32Array
    counts: IntArray  # (tracks of the catalogue,): how many lists hold each
    is_text: bool = False  # ids in the file are text

    def most_listed(self, count: int) -> list[int]:
        """Return the tracks that most lists hold, most listed first."""
        ranked = np.argsort(-self.counts, kind="stable")[:count].tolist()
        return [track for track in ranked if self.counts[track]]

    def list_of(self, of: int) -> list[int]:
        """Return the list of one id, empty if there is none."""
        row = of
        ids = self.ids
        if (
            of >= len(ids) or ids[of] != of
        ):  # ids are mostly 0..n-1, and searching takes longer
            row = int(ids.searchsorted(of))
            if row == len(ids) or ids[row] != of:
                return []
        tracks: list[int] = self.tracks[row].tolist()
        if tracks[-1] == NO_TRACK:
            del tracks[tracks.index(NO_TRACK) :]
        return tracks

    def lists_of(self, of: IntArray) -> Int32Array:
        """Return the lists of many ids, (…, length of the longest list).

        An id without a list has `NO_TRACK` alone.
        """
        if not len(self.ids):
            return np.full((*of.shape, 1), NO_TRACK, np.int32)
        rows = np.minimum(self.ids.searchsorted(of), len(self.ids) - 1)
        return np.where(
            (self.ids[rows] == of)[..., None], self.tracks[rows], np.int32(NO_TRACK)
        )


NO_LISTS = TrackLists(
    np.empty(0, np.int64), np.empty((0, 1), np.int32), np.empty(0, np.int64)
)


def read_track_lists(
    file: BufferedReader,
    key: Literal["user", "track"],
    rows: int | None,
    catalogue: Catalogue,
) -> TrackLists:
    """Read lines such as `{"user": 7, "tracks": [3, 1]}`.

    Text ids become the numbers that stand for them.

    `key` is the field with the id, and `rows` the number of lines by the manifest. The list of a
    track is in the field `recommendations`.

    Raises:
        ModelError: The file cannot be read, or a line is something else; the message names the
            line.
    """
    path, numbers = file.name, catalogue.numbers
    # compact, and grow without a copy
    ids_read, lengths_read, tracks_read = array("q"), array("q"), array("i")
    value = "tracks" if key == "user" else "recommendations"
    number_of = (
        user_number if key == "user" else numbers.__getitem__ if numbers else int
    )
    id_type: Any = catalogue.id_type if key == "track" else WholeNumber | Text
    # a type made here
    fields = [("id", id_type), ("tracks", list[catalogue.id_type])]  # type: ignore[name-defined]
    decode = msgspec.json.Decoder(
        msgspec.defstruct("Line", fields, rename={"id": key, "tracks": value})
    ).decode
    kinds = set[type]()
    try:
        for text in file:
            line: Any = decode(text)
            kinds.add(type(line.id))
            if len(kinds) > 1:
                raise ValueError(f"id {line.id!r} found after ids of the other kind")
            ids_read.append(number_of(line.id))
            tracks_read.fromlist(
                [numbers[track] for track in line.tracks] if numbers else line.tracks
            )
            lengths_read.append(len(line.tracks))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        expected = f'{{"{key}": id, "{value}": [ids]}} is expected'
        raise ModelError(f"{path}:{len(ids_read) + 1}: {expected}; {error}") from None
    except KeyError as error:
        raise ModelError(
            f"{path}:{len(lengths_read) + 1}: track {error} is not in the catalogue"
        ) from None
    if len(ids_read) != rows or not rows:
        raise ModelError(
            f"{path}: {len(ids_read)} lines found, the manifest says {rows}"
        )
    ids, cells = np.frombuffer(ids_read, np.int64), np.frombuffer(tracks_read, np.int32)
    table = _table(path, cells, np.frombuffer(lengths_read, np.int64))
    if not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, table = ids[order], table[order]
        repeated = np.flatnonzero(ids[1:] == ids[:-1])
        if len(repeated):
            raise ModelError(f"{path}: {key} {ids[repeated[0]]} has two lines")
    counts = np.zeros(len(catalogue), dtype=np.int64)
    for start in range(0, len(cells), _CHUNK):  # counting takes a copy
        counts += np.bincount(cells[start : start + _CHUNK], minlength=len(catalogue))
    return TrackLists(ids, table, counts, is_text=key == "user" and str in kinds)


def _table(path: str, cells: Int32Array, lengths: IntArray) -> Int32Array:
    """Arrange lists that follow one another in rows, without a copy if all have one length."""
    rows, width = len(lengths), max(1, int(lengths.max()))
    if len(cells) == rows * width:
        return cells.reshape(rows, width)
    if rows * width > _CELLS_A_TRACK * len(cells) + _FEW_CELLS:
        raise ModelError(
            f"{path}: a list of {width} tracks among {rows} is too long; all take its memory"
        )
    table = np.full((rows, width), NO_TRACK, dtype=np.int32)
    table[np.arange(width) < lengths[:, None]] = cells
    return table
