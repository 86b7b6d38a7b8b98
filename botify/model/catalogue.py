"""The catalogue: each track's record as it stands in the file, and its artist, in compact arrays."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from botify.errors import CatalogueError
from looplib.arrays import IntArray


class _Record(msgspec.Struct):
    track: int
    artist: str | int


_decode = msgspec.json.Decoder(_Record).decode


@dataclass(frozen=True)
class Catalogue:
    """Tracks 0..n-1."""

    text: bytes  # the file
    starts: IntArray  # (tracks + 1,): the record of track t is text[starts[t]:starts[t + 1]]
    artist: IntArray  # (tracks,), one number an artist
    by_artist: IntArray  # (tracks,), tracks grouped by artist
    artist_starts: IntArray  # (artists + 1,): artist a has by_artist[artist_starts[a]:artist_starts[a + 1]]
    sha256: str

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.artist)

    def record(self, track: int) -> bytes:
        """Return the record of a track, JSON."""
        return self.text[self.starts[track] : self.starts[track + 1]].rstrip()

    def tracks_of(self, artist: int) -> IntArray:
        """Return all tracks by an artist."""
        return self.by_artist[self.artist_starts[artist] : self.artist_starts[artist + 1]]


def load_catalogue(path: Path) -> Catalogue:
    """Read `tracks.json`, one `{"track", "artist", …}` a line.

    Raises:
        CatalogueError: The file cannot be read, holds no tracks, or a line is torn or out of order.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror})") from None
    lines = text.splitlines(keepends=True)
    if not lines:
        raise CatalogueError(f"{path}: holds no tracks")
    numbers: dict[str | int, int] = {}  # of the artists, as they first appear
    artist = np.empty(len(lines), dtype=np.int64)
    for track, line in enumerate(lines):
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CatalogueError(f"{path}:{track + 1}: no object with track and artist ({error})") from None
        if record.track != track:
            raise CatalogueError(f"{path}:{track + 1}: track {record.track} found, {track} expected: ids are 0..n-1")
        artist[track] = numbers.setdefault(record.artist, len(numbers))
    return Catalogue(
        text=text,
        starts=np.cumsum([0, *map(len, lines)], dtype=np.int64),
        artist=artist,
        by_artist=np.argsort(artist, kind="stable"),
        artist_starts=np.concatenate([[0], np.cumsum(np.bincount(artist))]),
        sha256=hashlib.sha256(text).hexdigest(),
    )
