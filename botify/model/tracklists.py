"""Listeners' lists of tracks, in compact arrays, read from exported JSON lines."""

from array import array
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.catalogue import Text, WholeNumber, user_number
from botify.model.manifest import Version
from looplib.arrays import NO_TRACK, Float32Array, Int32Array, IntArray


@dataclass(frozen=True)
class TrackLists:
    """For each of some listeners or tracks a list of tracks."""

    ids: IntArray  # (rows,): numbers of the listeners or tracks, ascending
    starts: IntArray  # (rows,): a row's list is tracks[start:end]
    ends: IntArray  # (rows,)
    tracks: Int32Array  # tracks of all lists
    values: Float32Array | None = None  # like `tracks`
    is_text: bool = False  # ids in the file are text

    def row(self, number: int) -> int | None:
        """Find the row of a listener or track; None if it is unknown."""
        row = int(self.ids.searchsorted(number))
        is_there = row < len(self.ids) and self.ids[row] == number
        return row if is_there else None

    def span(self, number: int) -> slice:
        """Find the list of a listener or track in `tracks`; it is empty if the id is unknown."""
        row = self.row(number)
        return slice(0) if row is None else slice(self.starts[row], self.ends[row])

    def list_of(self, number: int) -> list[int]:
        """Look up the list of a listener or track; it is empty if the id is unknown."""
        tracks: list[int] = self.tracks[self.span(number)].tolist()
        return tracks

    def values_of(self, number: int) -> dict[int, float]:
        """Look up the values of a list by track, without tracks that the catalogue lacks."""
        if self.values is None:
            return {}
        span = self.span(number)
        pairs = zip(self.tracks[span].tolist(), self.values[span].tolist(), strict=True)
        return {track: value for track, value in pairs if track != NO_TRACK}

    def most_listed(self, count: int) -> list[int]:
        """Rank tracks by the number of lists that hold them, most listed first."""
        counts = np.zeros(self.tracks.max(initial=-1) + 1, np.int64)
        np.add.at(counts, self.tracks, 1)  # bincount would copy
        ranked = np.argsort(-counts, kind="stable")[:count].tolist()
        return [track for track in ranked if counts[track]]


def group_tracks(
    ids: IntArray,
    lengths: IntArray,
    tracks: Int32Array,
    values: Float32Array | None = None,
    *,
    is_text: bool = False,
) -> TrackLists:
    """Make lists from the tracks of all, list after list.

    Args:
        ids: Numbers of the listeners or tracks, shape (rows,), in any order.
        lengths: Lengths of their lists, shape (rows,).
        tracks: Tracks of all lists.
        values: Values of these tracks.
        is_text: Whether the ids are text.
    """
    order = np.argsort(ids, kind="stable")
    ends = lengths.cumsum()
    starts = ends - lengths
    return TrackLists(ids[order], starts[order], ends[order], tracks, values, is_text)


_NOTHING = np.empty(0, np.int64)
NO_LISTS = group_tracks(_NOTHING, _NOTHING, np.empty(0, np.int32))


def read_track_lists(version: Version, name: str, of: str = "user") -> TrackLists:
    """Read lines such as `{"user": 7, "tracks": [3, 1]}`; ids are replaced by their numbers.

    Args:
        version: The version; tracks that its catalogue lacks are left out.
        name: The file's name.
        of: The key of the id that a list belongs to.

    Raises:
        ModelError: The file does not fit the manifest, or a line is no list; the message names the
            line.
    """
    path, catalogue = version.folder / name, version.catalogue
    numbers, may_lack = catalogue.numbers, version.may_lack
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
        with version.open(name) as file:
            for text in file:
                line: Any = decode(text)
                kinds.add(type(line.user))
                if len(kinds) > 1:
                    raise ValueError(
                        f"id {line.user!r} found after ids of the other kind"
                    )
                listed = line.tracks
                if numbers:
                    listed = [
                        numbers[track]
                        for track in listed
                        if track in numbers or not may_lack
                    ]
                tracks.fromlist(listed)
                lengths.append(len(listed))
                users.append(user_number(line.user))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        expected = f'{{"{of}": id, "tracks": [ids]}} is expected'
        raise ModelError(f"{path}:{len(users) + 1}: {expected}; {error}") from None
    except KeyError as error:
        raise ModelError(
            f"{path}:{len(users) + 1}: track {error} is not in the catalogue"
        ) from None
    arrays = (np.frombuffer(users, np.int64), np.frombuffer(lengths, np.int64))
    return group_tracks(*arrays, np.frombuffer(tracks, np.int32), is_text=str in kinds)
