"""The catalogue: each track's record and its artist, in compact arrays."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import mmh3
import msgspec
import numpy as np
from msgspec import Meta

from botify.errors import BotifyError
from looplib.arrays import NO_TRACK, Int32Array, IntArray, offsets
from looplib.categories import number_alone, number_categories
from looplib.event_fields import LARGEST_ID
from looplib.rerank import ARTIST

Id = int | str
"""The owner's id of a listener or a track; those of one service are all numbers, or all text."""

WholeNumber = Annotated[int, Meta(ge=0, le=LARGEST_ID)]
Text = Annotated[str, Meta(min_length=1)]


class _CatalogueLine(msgspec.Struct):
    track: WholeNumber | Text
    artist: str | int


_decode = msgspec.json.Decoder(_CatalogueLine).decode


@dataclass(frozen=True)
class Catalogue:
    """Tracks by number: the position by ascending id; ids 0..n-1 are their own numbers."""

    text: bytes  # the file's content, with a line end
    starts: IntArray  # (tracks,), positions of their lines in `text`
    artist: Int32Array  # (tracks,), number of the artist
    sha256: str
    ids: Sequence[Any]  # ids, by number
    numbers: Mapping[Any, int]  # numbers, by id; empty if ids are numbers themselves

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.artist)

    def has(self, column: str) -> bool:
        """Whether any artist, or category of another column, has several tracks."""
        return len(np.unique(self.group(column)[0])) < len(self)

    @cached_property
    def _groups(self) -> dict[str, Int32Array]:
        return {ARTIST: self.artist[np.newaxis]}

    def group(self, column: str) -> Int32Array:
        """Number the categories of a column, shape (categories of a track, tracks)."""
        if column not in self._groups:
            lines = map(self.record, range(len(self)))
            values = [msgspec.json.decode(line).get(column) for line in lines]
            names = [
                [*map(str, value if isinstance(value, list) else [value])]
                for value in (value or [] for value in values)
            ]
            numbers = number_categories(names, len(names))
            self._groups[column] = number_alone(numbers)
        return self._groups[column]

    @property
    def is_text(self) -> bool:
        """True if ids are text, False if they are whole numbers."""
        return isinstance(self.ids[0], str)

    @property
    def id_type(self) -> Any:  # noqa: ANN401  a type made here
        """The type of an id in JSON; if ids are 0..n-1, only known ids are valid."""
        if not self.numbers:
            return Annotated[int, Meta(ge=0, lt=len(self))]
        return Text if self.is_text else WholeNumber

    def record(self, number: int) -> bytes:
        """Look up the JSON of a track."""
        start = int(self.starts[number])
        return self.text[start : self.text.find(b"\n", start)].strip()

    def number(self, track: Id) -> int:
        """Look up the number of a track; `NO_TRACK` where the catalogue lacks it."""
        if self.numbers:
            return self.numbers.get(track, NO_TRACK)
        if isinstance(track, int) and 0 <= track < len(self):
            return track
        return NO_TRACK

    def find(self, tracks: Iterable[Any]) -> list[int]:
        """Look up the numbers of ids of the right kind; unknown ids are left out."""
        if self.numbers:
            return [self.numbers[track] for track in tracks if track in self.numbers]
        size = len(self)
        return [track for track in tracks if track < size]

    @cached_property
    def _by_artist(self) -> Int32Array:
        return np.argsort(self.artist, kind="stable").astype(np.int32)

    def tracks_of(self, artist: int) -> Int32Array:
        """List the numbers of all tracks by an artist, ascending, shape (tracks of the artist,)."""
        order = self._by_artist
        artists = np.array([artist, artist + 1], np.int32)  # another type costs a copy
        first, end = self.artist.searchsorted(artists, sorter=order)
        return order[first:end]


def user_number(user: Id) -> int:
    """Compute the number by which a listener's lists are looked up.

    Returns:
        A whole number itself; of a text 63 bits of its hash.

    >>> user_number(7)
    7
    >>> user_number("zoë")
    2962756792818587815
    """
    return user if isinstance(user, int) else mmh3.hash64(user, signed=False)[0] >> 1


def load_catalogue(path: Path) -> Catalogue:
    """Read `tracks.json`, lines `{"track", "artist", …}`; ids are whole numbers or text.

    Raises:
        BotifyError: The file cannot be read, holds no tracks, or a line is torn or of a track
            that was there before.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BotifyError(f"{path}: cannot be read ({error.strerror})") from None
    if not text:
        raise BotifyError(f"{path}: holds no tracks")
    bounds = offsets([*map(len, io.BytesIO(text))])
    records: list[_CatalogueLine] = []
    try:
        records.extend(map(_decode, io.BytesIO(text)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BotifyError(
            f"{path}:{len(records) + 1}: no object with track and artist ({error})"
        ) from None
    order = _order(path, [record.track for record in records])
    ids = [records[line].track for line in order]
    is_dense = ids == list(range(len(ids)))
    # a track of no known artist is alone
    keys = [
        (line,) if records[line].artist == "" else records[line].artist
        for line in order
    ]
    artists: dict[object, int] = {}  # numbered as they first appear
    artist = np.array(
        [artists.setdefault(key, len(artists)) for key in keys], dtype=np.int32
    )
    return Catalogue(
        text=text if text.endswith(b"\n") else text + b"\n",
        starts=bounds[order],
        artist=artist,
        sha256=hashlib.sha256(text).hexdigest(),
        ids=range(len(ids)) if is_dense else ids,
        numbers={} if is_dense else {track: number for number, track in enumerate(ids)},
    )


def _order(path: Path, ids: Sequence[Any]) -> list[int]:
    """Sort the lines of a catalogue by their ids.

    Raises:
        BotifyError: Ids are of two kinds, or an id stands twice.
    """
    first: dict[object, int] = {}
    for line, track in enumerate(ids, start=1):
        if type(track) is not type(ids[0]):
            raise BotifyError(
                f"{path}:{line}: track {track!r} found after {ids[0]!r}; write all as numbers, "
                "or all as text"
            )
        if first.setdefault(track, line) != line:
            raise BotifyError(
                f"{path}:{line}: track {track!r} is there already, in line {first[track]}"
            )
    return sorted(range(len(ids)), key=ids.__getitem__)
