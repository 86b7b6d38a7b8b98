"""Read the plays of listeners in their order, repeats included, and the artists of tracks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from looplib.arrays import Int32Array, IntArray, offsets
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import (
    ARTISTS,
    PLAYS_HELDOUT,
    PLAYS_INDPTR,
    PLAYS_TRACKS,
    SplitName,
)

UNKNOWN_ARTIST = -1


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
        """Select plays by a flag for each, shape (plays,)."""
        before = offsets(is_kept)
        return Plays(before[self.indptr], self.tracks[is_kept])


def read_plays(dataset: Dataset, split: SplitName) -> Plays:
    """Read the plays of all sessions, or of the training ones.

    Raises:
        FileNotFoundError: The dataset has no order of plays.
    """
    folder = dataset.path
    tracks = np.load(folder / PLAYS_TRACKS, mmap_mode="r")
    plays = Plays(np.load(folder / PLAYS_INDPTR), tracks)
    if split == "all":
        return plays
    return plays.select(~np.load(folder / PLAYS_HELDOUT))


def read_artists(dataset: Dataset) -> Int32Array:
    """Read the number of the artist of each track, shape (tracks,); `UNKNOWN_ARTIST` of some."""
    artists: Int32Array = np.load(dataset.path / ARTISTS)
    return artists


def find_unplayed(dataset: Dataset) -> IntArray:
    """Find the columns of tracks of a known artist that nobody has played, in any session."""
    has_artist = read_artists(dataset) != UNKNOWN_ARTIST
    if not has_artist.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(has_artist & (dataset.popularity("all") == 0))
