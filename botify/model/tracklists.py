"""Listeners' lists of tracks, in compact arrays, read from exported JSON lines."""

from array import array
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.catalogue import Catalogue, Text, WholeNumber, user_number
from looplib.arrays import Int32Array, IntArray, find_id


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
        row = find_id(self.ids, user)
        if row is None:
            return []
        tracks: list[int] = self.tracks[self.starts[row] : self.ends[row]].tolist()
        return tracks


_NOTHING = np.empty(0, np.int64)
NO_LISTS = TrackLists(
    _NOTHING, _NOTHING, _NOTHING, np.empty(0, np.int32), counts=_NOTHING
)


def read_track_lists(
    file: BufferedReader,
    rows: int | None,
    catalogue: Catalogue,
    *,
    of: str = "user",
    may_lack: bool = False,
) -> TrackLists:
    """Read lines such as `{"user": 7, "tracks": [3, 1]}`; ids are replaced by their numbers.

    Args:
        file: The open file.
        rows: The number of lines by the manifest.
        catalogue: The tracks that are known.
        of: The key of the id that a list belongs to.
        may_lack: Others are left out.

    Raises:
        ModelError: The file cannot be read, or a line is something else; the message names the
            line.
    """
    found = _read_lines(file, catalogue, of, may_lack=may_lack)
    users, lengths, tracks, is_text = found
    if len(users) != rows or not rows:
        raise ModelError(
            f"{file.name}: {len(users)} lines found, the manifest says {rows}"
        )
    order = np.argsort(users, kind="stable")
    ids = users[order]
    repeated = np.flatnonzero(ids[1:] == ids[:-1])
    if len(repeated):
        line, again = order[repeated[0] :][:2] + 1
        raise ModelError(f"{file.name}:{again}: the {of} of line {line} again")
    ends = lengths.cumsum()
    counts = np.zeros(len(catalogue), dtype=np.int64)
    np.add.at(counts, tracks, 1)  # without a copy
    return TrackLists(
        ids=ids,
        starts=(ends - lengths)[order],
        ends=ends[order],
        tracks=tracks,
        counts=counts,
        is_text=is_text,
    )


def _read_lines(
    file: BufferedReader, catalogue: Catalogue, of: str, *, may_lack: bool
) -> tuple[IntArray, IntArray, Int32Array, bool]:
    """Return the users, the lengths of their lists, all tracks, and whether ids are text."""
    numbers = catalogue.numbers
    # compact, and grow without a copy
    users, lengths, tracks = array("q"), array("q"), array("i")
    fields: list[Any] = [
        ("user", WholeNumber | Text),
        ("tracks", list[catalogue.id_type]),  # type: ignore[name-defined]  # made there
    ]
    line_type = msgspec.defstruct("Line", fields, rename={"user": of})
    decode = msgspec.json.Decoder(line_type).decode
    kinds = set[type]()
    try:
        for text in file:
            line: Any = decode(text)
            kinds.add(type(line.user))
            if len(kinds) > 1:
                raise ValueError(f"id {line.user!r} found after ids of the other kind")
            listed = line.tracks
            if numbers and may_lack:
                listed = [numbers[track] for track in listed if track in numbers]
            elif numbers:
                listed = [numbers[track] for track in listed]
            tracks.fromlist(listed)
            lengths.append(len(listed))
            users.append(user_number(line.user))
    except OSError as error:
        raise ModelError(f"{file.name}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        expected = f'{{"{of}": id, "tracks": [ids]}} is expected'
        raise ModelError(f"{file.name}:{len(users) + 1}: {expected}; {error}") from None
    except KeyError as error:
        raise ModelError(
            f"{file.name}:{len(users) + 1}: track {error} is not in the catalogue"
        ) from None
    return (
        np.frombuffer(users, np.int64),
        np.frombuffer(lengths, np.int64),
        np.frombuffer(tracks, np.int32),
        str in kinds,
    )
