"""Listeners' lists of tracks, in compact arrays, read from exported JSON lines."""

from array import array
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.catalogue import Catalogue, Text, WholeNumber, user_number
from looplib.arrays import Int32Array, IntArray


@dataclass(frozen=True)
class TrackLists:
    """For each listener a list of tracks, best first."""

    ids: IntArray  # (rows,), ascending
    starts: IntArray  # (rows,): a row's list is tracks[start:end]
    ends: IntArray  # (rows,)
    tracks: Int32Array  # of all lists
    counts: IntArray  # (tracks of the catalogue,): how many lists hold each
    is_text: bool = False  # ids in the file are text

    def most_listed(self, count: int) -> list[int]:
        """Return the tracks that most lists hold, most listed first."""
        ranked = np.argsort(-self.counts, kind="stable")[:count].tolist()
        return [track for track in ranked if self.counts[track]]

    def list_of(self, user: int) -> list[int]:
        """Return the list of one id, empty if there is none."""
        row = int(self.ids.searchsorted(user))
        if row == len(self.ids) or self.ids[row] != user:
            return []
        tracks: list[int] = self.tracks[self.starts[row] : self.ends[row]].tolist()
        return tracks


_NOTHING = np.empty(0, np.int64)
NO_LISTS = TrackLists(
    _NOTHING, _NOTHING, _NOTHING, np.empty(0, np.int32), counts=_NOTHING
)


def read_track_lists(
    file: BufferedReader, rows: int | None, catalogue: Catalogue
) -> TrackLists:
    """Read lines such as `{"user": 7, "tracks": [3, 1]}`.

    Text ids become the numbers that stand for them. `rows` is the number of lines by the manifest.

    Raises:
        ModelError: The file cannot be read, or a line is something else; the message names the
            line.
    """
    path, numbers = file.name, catalogue.numbers
    # compact, and grow without a copy
    ids_read, lengths_read, tracks_read = array("q"), array("q"), array("i")
    fields: list[Any] = [
        ("user", WholeNumber | Text),
        ("tracks", list[catalogue.id_type]),  # type: ignore[name-defined]  # made there
    ]
    decode = msgspec.json.Decoder(msgspec.defstruct("Line", fields)).decode
    kinds = set[type]()
    try:
        for text in file:
            line: Any = decode(text)
            kinds.add(type(line.user))
            if len(kinds) > 1:
                raise ValueError(f"id {line.user!r} found after ids of the other kind")
            ids_read.append(user_number(line.user))
            tracks_read.fromlist(
                [numbers[track] for track in line.tracks] if numbers else line.tracks
            )
            lengths_read.append(len(line.tracks))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        expected = '{"user": id, "tracks": [ids]} is expected'
        raise ModelError(f"{path}:{len(ids_read) + 1}: {expected}; {error}") from None
    except KeyError as error:
        raise ModelError(
            f"{path}:{len(lengths_read) + 1}: track {error} is not in the catalogue"
        ) from None
    if len(ids_read) != rows or not rows:
        raise ModelError(
            f"{path}: {len(ids_read)} lines found, the manifest says {rows}"
        )
    ids = np.frombuffer(ids_read, np.int64)
    tracks = np.frombuffer(tracks_read, np.int32)
    ends = np.frombuffer(lengths_read, np.int64).cumsum()
    starts = np.append(0, ends[:-1])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    repeated = np.flatnonzero(ids[1:] == ids[:-1])
    if len(repeated):
        raise ModelError(f"{path}: user {ids[repeated[0]]} has two lines")
    counts = np.zeros(len(catalogue), dtype=np.int64)
    np.add.at(counts, tracks, 1)  # without a copy
    return TrackLists(
        ids,
        starts[order],
        ends[order],
        tracks,
        counts,
        is_text=str in kinds,
    )
