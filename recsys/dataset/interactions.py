"""Hold the training data of a model: listening time, plays in their order, and features."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import BoolArray, Int32Array, IntArray, count_up, offsets
from looplib.categories import UNKNOWN
from looplib.progress import WARNING, say
from looplib.rerank import ARTIST, Rerank
from recsys.dataset.dataset import Dataset
from recsys.dataset.features import Features, make_features
from recsys.dataset.layout import (
    DIMENSIONS,
    GROUPS,
    PLAYS_HELDOUT,
    PLAYS_INDPTR,
    PLAYS_TRACKS,
    POINTS,
    WIDTHS,
    SplitName,
)
from recsys.errors import TrialError

_SUMMED = 2**24  # interactions that are added up at once
_CUT = 2**16  # listeners whose plays are cut at once


@dataclass(frozen=True)
class Plays:
    """Plays of some listeners, the oldest first.

    The plays of the listener in row u are `tracks[indptr[u] : indptr[u + 1]]`. Skips among them are
    as `looplib.memory.turn` makes them.
    """

    indptr: IntArray  # shape (listeners + 1,)
    tracks: Int32Array  # columns, shape (plays,)

    def without_skips(self) -> "Plays":
        """Leave out skips."""
        is_played = self.tracks >= 0
        return self if is_played.all() else self.select(is_played)

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

    def select(self, is_kept: BoolArray) -> "Plays":
        """Select plays by a flag for each, shape (plays,)."""
        counts = np.zeros(len(self.counts), np.int64)
        for first in range(0, len(counts), _CUT):
            edges = self.indptr[first : first + _CUT + 1]
            before = offsets(is_kept[edges[0] : edges[-1]])
            counts[first : first + _CUT] = np.diff(before[edges - edges[0]])
        return Plays(offsets(counts), self.tracks[is_kept])

    def cut(
        self,
        newest: IntArray,
        oldest: IntArray | None = None,
        listeners: IntArray | slice = slice(None),
    ) -> "Plays":
        """Select each listener's plays that are more than some plays ago, in little memory.

        Args:
            newest: How many of the newest plays are left out, shape (listeners,).
            oldest: How many plays ago the selected plays begin; by default with the first play.
            listeners: Rows of the listeners, in their order; by default all.
        """
        ends = (self.indptr[1:] - newest)[listeners]
        begin = self.indptr[:-1] if oldest is None else self.indptr[1:] - oldest
        starts = begin[listeners]
        indptr = offsets(ends - starts)
        tracks = np.empty(indptr[-1], np.int32)
        for first in range(0, len(ends), _CUT):
            rows = slice(first, first + _CUT)
            counts = (ends - starts)[rows]
            play = np.repeat(starts[rows], counts) + count_up(counts)
            tracks[indptr[first] : indptr[first] + len(play)] = self.tracks[play]
        return Plays(indptr, tracks)


class Interactions:
    """Listening time of listeners (rows) for tracks (columns).

    >>> train = Interactions(csr_matrix([[3.0, 1, 0, 0], [2, 0, 5, 0], [0, 1, 0, 0]]))
    >>> train.popularity.tolist()
    [2, 2, 1, 0]
    >>> train.by_popularity.tolist()
    [0, 2, 1, 3]
    """

    def __init__(
        self,
        matrix: csr_matrix,
        *,
        by_track: csr_matrix | None = None,
        plays: Plays | None = None,
        features: Features | None = None,
        unplayed: Sequence[int] | IntArray = (),
    ) -> None:
        """Keep the arrays, which nothing changes.

        Args:
            matrix: Listening time, float32, shape (listeners, tracks).
            by_track: Its transpose; by default it is computed.
            plays: All plays and skips in their order, if it is known and needed.
            features: Artists and other features of the tracks; by default unknown.
            unplayed: Tracks of known categories or vectors without plays, which a catalogue has.
        """
        self.matrix = matrix
        self.by_track = csr_matrix(matrix.T) if by_track is None else by_track
        self.plays = plays
        if features is None:
            features = make_features([""] * matrix.shape[1], {}, {}, [], 0)
        self.features = features
        self.unplayed = np.asarray(unplayed, np.int64)

    @property
    def counts(self) -> IntArray:
        """How many tracks each listener has heard, shape (listeners,)."""
        return np.diff(self.matrix.indptr)

    @property
    def popularity(self) -> IntArray:
        """How many listeners have heard each track, shape (tracks,)."""
        return np.diff(self.by_track.indptr)

    @cached_property
    def ordered_plays(self) -> Plays:
        """All plays in their order, without skips.

        Raises:
            TrialError: The order is not known.
        """
        if self.plays is None:
            raise TrialError(
                "the order of the plays is not known; return played_at or position"
            )
        return self.plays.without_skips()

    def select(self, listeners: IntArray | None) -> "Interactions":
        """Select the listening of some rows, or of all; tracks are as popular as before."""
        if listeners is None:
            return self
        plays = self.plays
        if plays is not None:
            none = np.zeros(len(plays.counts), np.int64)
            plays = plays.cut(none, listeners=listeners)
        part = Interactions(
            self.matrix[listeners],
            by_track=self.by_track,
            plays=plays,
            features=self.features,
            unplayed=self.unplayed,
        )
        part.by_popularity = self.by_popularity
        return part

    @cached_property
    def by_popularity(self) -> Int32Array:
        """All columns, the most listening time first, shape (tracks,)."""
        matrix = self.by_track
        times = np.zeros(matrix.shape[0])
        for first in range(0, matrix.nnz, _SUMMED):
            data = matrix.data[first : first + _SUMMED]
            entries = np.arange(first, first + len(data))
            tracks = np.searchsorted(matrix.indptr, entries, side="right") - 1
            times += np.bincount(tracks, data, len(times))
        return np.argsort(-times, kind="stable").astype(np.int32)


@lru_cache(maxsize=2)  # two, with and without plays, serve all fits of a process
def load_interactions(
    dataset: Dataset, split: SplitName, *, is_ordered: bool = False
) -> Interactions:
    """Map the interactions of a split of a dataset from the disk.

    Args:
        dataset: The dataset of the search.
        split: The training sessions, or all.
        is_ordered: Load the plays in their order, too.

    Raises:
        FileNotFoundError: The order is not known.
    """
    features = read_features(dataset, split)
    is_known = (features.groups != UNKNOWN).any(axis=0)
    is_known |= (features.dimensions > 1).any()
    is_unplayed = is_known & (dataset.popularity(split) == 0)
    is_unplayed &= dataset.summary.unplayed
    return Interactions(
        dataset.matrix(split),
        by_track=dataset.matrix(split, by_track=True),
        plays=read_plays(dataset, split) if is_ordered else None,
        features=features,
        unplayed=np.flatnonzero(is_unplayed),
    )


def read_plays(dataset: Dataset, split: SplitName) -> Plays:
    """Read the plays and skips of the training sessions, or of all.

    Raises:
        FileNotFoundError: The dataset has no order of plays.
    """
    folder = dataset.path
    tracks = np.load(folder / PLAYS_TRACKS, mmap_mode="r")
    plays = Plays(np.load(folder / PLAYS_INDPTR), tracks)
    if split == "all":
        return plays
    return plays.select(~np.load(folder / PLAYS_HELDOUT))


def warn_without_categories(rerank: Rerank, dataset: Dataset) -> None:
    """Print a warning for limits of categories that are not known."""
    features = read_features(dataset, "training")
    for name in rerank.most_per:
        if name != ARTIST and name not in features.names:
            say(
                f"{WARNING} export.rerank.most_per.{name} changes nothing: {name} is left out"
            )
        elif (features.group(name) == UNKNOWN).all():
            say(
                f"{WARNING} export.rerank.most_per.{name} changes nothing, as no {name} is known; "
                f"set catalogue, or ingest a column {name}"
            )


def read_features(dataset: Dataset, split: SplitName) -> Features:
    """Read the features of the tracks of a split."""
    arrays = (
        np.load(dataset.path / name) for name in (GROUPS, WIDTHS, POINTS, DIMENSIONS)
    )
    features = Features(*arrays)._replace(names=dataset.summary.categories)
    return features.cut(len(dataset.tracks_of(split)))
