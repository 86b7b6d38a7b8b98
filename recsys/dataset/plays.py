"""The plays of each listener in their order, repeats kept, and who the artist of a track is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.logs.field_types import LARGEST_ID
from analysis.store import Store, number_of
from looplib.arrays import Int32Array, IntArray, offsets
from recsys.dataset.dataset import Dataset, Side, new_array
from recsys.store.ids import Title

UNKNOWN_ARTIST = -1
_INDPTR, _TRACKS, _HELDOUT = (
    f"plays-{name}.npy" for name in ("indptr", "tracks", "heldout")
)
_ARTISTS = "artists.npy"


@dataclass(frozen=True)
class Plays:
    """Plays of some listeners, the oldest first.

    Those of the listener in row u are `tracks[indptr[u] : indptr[u + 1]]`.
    """

    indptr: IntArray  # shape (listeners + 1,)
    tracks: Int32Array  # columns, shape (plays,)

    @property
    def counts(self) -> IntArray:
        """The number of plays of each listener, shape (listeners,)."""
        return np.diff(self.indptr)

    @property
    def listeners(self) -> IntArray:
        """The row of the listener of each play, shape (plays,)."""
        return np.repeat(np.arange(len(self.indptr) - 1), self.counts)

    @property
    def age(self) -> IntArray:
        """How many plays ago each play was, 1 for a listener's newest; shape (plays,)."""
        return np.repeat(self.indptr[1:], self.counts) - np.arange(len(self.tracks))

    def select(self, is_kept: npt.NDArray[np.bool_]) -> "Plays":
        """Return some of the plays; a flag for each, shape (plays,)."""
        before = offsets(is_kept)
        return Plays(before[self.indptr], self.tracks[is_kept])


def write_plays(
    folder: Path,
    parts: Sequence[Sequence[IntArray]],
    listeners: int,
) -> None:
    """Write the plays of some parts, each of which has all plays of its listeners.

    A part has the rows of the listeners, ascending, the columns of the tracks, a listener's oldest
    first, and whether they are held out; each of shape (plays,).
    """
    counts = np.zeros(listeners, np.int64)
    for rows, _, _ in parts:
        counts += np.bincount(rows, minlength=listeners)
    indptr = offsets(counts)
    tracks = new_array(folder / _TRACKS, np.int32, (int(indptr[-1]),))
    is_heldout = new_array(folder / _HELDOUT, np.bool_, (int(indptr[-1]),))
    for rows, columns, heldout in parts:
        position = positions(rows, indptr)
        tracks[position] = columns
        is_heldout[position] = heldout > 0
    np.save(folder / _INDPTR, indptr)


def positions(rows: IntArray, indptr: IntArray) -> IntArray:
    """Return where values of ascending rows belong, all of a row being here, shape (values,)."""
    shifts = indptr[1:] - np.bincount(rows, minlength=len(indptr) - 1).cumsum()
    found: IntArray = np.arange(len(rows)) + shifts[rows]
    return found


def read_plays(dataset: Dataset, side: Side) -> Plays:
    """Read the plays of all sessions, or of the training ones.

    Raises:
        FileNotFoundError: Their order is not known.
    """
    folder = dataset.path
    plays = Plays(np.load(folder / _INDPTR), np.load(folder / _TRACKS, mmap_mode="r"))
    if side == "total":
        return plays
    return plays.select(~np.load(folder / _HELDOUT))


def write_artists(
    folder: Path,
    titles: Mapping[str, Title],
    originals: Sequence[object],
) -> None:
    """Number the artists of tracks, given by the ids that came in."""
    names = [
        title.artist if (title := titles.get(str(track))) else "" for track in originals
    ]
    known = {name: number for number, name in enumerate(sorted({*names} - {""}))}
    numbers = [known.get(name, UNKNOWN_ARTIST) for name in names]
    np.save(folder / _ARTISTS, np.array(numbers, np.int32))


def read_artists(dataset: Dataset) -> Int32Array:
    """Read the number of the artist of each track, shape (tracks,); `UNKNOWN_ARTIST` of some."""
    artists: Int32Array = np.load(dataset.path / _ARTISTS)
    return artists


def unplayed_of(
    store: Store,
    titles: Mapping[str, Title],
    played: IntArray,
) -> IntArray:
    """Return the other tracks of a catalogue that are by the artist of one that was played."""
    is_text = store.manifest.text_items
    artist_of = {
        number_of(track) if is_text else int(track): title.artist
        for track, title in titles.items()
        if title.artist and (is_text or track.isdecimal())
    }
    known = {artist_of[track] for track in played.tolist() if track in artist_of}
    found = [track for track, artist in artist_of.items() if artist in known]
    return np.array([track for track in found if track <= LARGEST_ID], np.int64)


def find_unplayed(dataset: Dataset) -> IntArray:
    """Return the columns of tracks of a known artist that nobody has played, on either side."""
    has_artist = read_artists(dataset) != UNKNOWN_ARTIST
    if not has_artist.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(has_artist & (dataset.popularity("total") == 0))
