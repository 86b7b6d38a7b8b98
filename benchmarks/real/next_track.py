"""The next track of a session (30Music): what was played decides, nobody recommended anything.

Of each window the newest fifth of the sessions is tested; a model learns from all sessions that
began before these. Every play but a session's first is predicted from the plays before it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.real.pairs import read_columns
from benchmarks.real.peers import Work
from benchmarks.real.product import THREADS
from benchmarks.real.tables import Table, ratio_interval, text
from looplib.arrays import BoolArray, FloatArray, Int32Array, IntArray
from recsys.models.sparse import NO_COLUMN, nearest, rank_rows

K, HELD_OUT = 20, 0.2
NEIGHBOURS = 200


@dataclass(frozen=True)
class Sessions:
    """Plays, session by session and in their order; arrays of shape (plays,)."""

    listener: IntArray
    session: IntArray
    track: IntArray  # numbers from 0
    time: IntArray  # unix time, in seconds
    artist: IntArray
    tracks: int  # how many there are

    def select(self, is_kept: BoolArray) -> "Sessions":
        """Return the plays of some sessions; a flag for each play."""
        listener, session, track, time, artist = (
            array[is_kept]
            for array in (
                self.listener,
                self.session,
                self.track,
                self.time,
                self.artist,
            )
        )
        return Sessions(listener, session, track, time, artist, self.tracks)

    @property
    def is_first(self) -> BoolArray:
        """Whether a play opens its session."""
        return np.concatenate([[True], np.diff(self.session) != 0])


# learns from sessions; ranks the next track after each play of others, shape (plays, K), where
# `NO_COLUMN` fills up
Recommender = Callable[[Sessions, Sessions], Int32Array]


def popular(training: Sessions, tested: Sessions) -> Int32Array:
    """Rank the tracks with the most plays, for everybody."""
    plays = np.bincount(training.track, minlength=training.tracks)
    best = np.argsort(-plays, kind="stable")[:K].astype(np.int32)
    return np.tile(best, (len(tested.track), 1))


def item_knn(training: Sessions, tested: Sessions) -> Int32Array:
    """Rank the tracks whose sessions are most like those of the last track, by the cosine."""
    _, row = np.unique(training.session, return_inverse=True)
    shape = (training.tracks, int(row.max()) + 1)
    by_track = csr_matrix((np.ones(len(row)), (training.track, row)), shape)
    by_track.data[:] = 1
    length = np.sqrt(np.maximum(np.diff(by_track.indptr), 1))
    by_track.data /= np.repeat(length, np.diff(by_track.indptr))
    near = nearest(by_track, csr_matrix(by_track.T), NEIGHBOURS, THREADS)
    near.setdiag(0)
    near.eliminate_zeros()
    return rank_rows(near, K)[tested.track]


def sticky_artist(training: Sessions, tested: Sessions) -> Int32Array:
    """Rank the most played other tracks of the last track's artist."""
    artist = np.zeros(training.tracks, np.int64)
    artist[training.track] = training.artist
    artist[tested.track] = tested.artist
    plays = np.bincount(training.track, minlength=training.tracks)
    played = np.flatnonzero(plays)
    numbers, row = np.unique(artist, return_inverse=True)
    shape = (len(numbers), training.tracks)
    of_artist = csr_matrix((plays[played], (row[played], played)), shape)
    best = rank_rows(of_artist, K + 1)[row[tested.track]]
    is_other = (best != tested.track[:, np.newaxis]) & (best != NO_COLUMN)
    order = np.argsort(~is_other, axis=1, kind="stable")
    listed = np.where(is_other, best, NO_COLUMN)
    return np.take_along_axis(listed, order, axis=1)[:, :K]


RULES: Mapping[str, Recommender] = {
    "popular": popular,
    "item-kNN of the last track": item_knn,
    "sticky artist": sticky_artist,
}
# models of this project that learn from organic sessions
OURS: Mapping[str, Recommender] = {}


def measure(file: Path, _work: Work) -> Table:
    """Predict every next track of the tested sessions."""
    found: dict[str, list[FloatArray]] = {}
    listeners = []
    for training, tested in windows(file):
        goes_on = ~np.append(tested.is_first[1:], True)
        target = np.roll(tested.track, -1)[goes_on, np.newaxis]
        listeners.append(tested.listener[goes_on])
        for name, recommend in {**RULES, **OURS}.items():
            is_hit = recommend(training, tested)[goes_on] == target
            reciprocal = is_hit / np.arange(1, is_hit.shape[1] + 1)
            worth = np.stack([is_hit.sum(axis=1) / K, reciprocal.sum(axis=1)])
            found.setdefault(name, []).append(worth)
    _, listener = np.unique(np.concatenate(listeners), return_inverse=True)
    plays = np.bincount(listener).astype(np.float64)
    rows = []
    for name, parts in found.items():
        worth = np.concatenate(parts, axis=1)
        sums = [np.bincount(listener, values).astype(np.float64) for values in worth]
        figures = (text(ratio_interval(values, plays), 5) for values in sums)
        rows.append([name, *figures])
    title = f"30Music sessions: the next of {len(listener):,} tracks, {len(plays):,} listeners"
    return Table(title, ("", f"precision@{K}", f"MRR@{K}"), rows)


def windows(file: Path) -> Iterator[tuple[Sessions, Sessions]]:
    """Yield the sessions to learn from and the tested ones of each window."""
    names = ("UserId", "SessionId", "ItemId", "Time", "ArtistId", "slice")
    columns = np.stack(read_columns(file, *names))
    # a session's name may come again in another window
    columns = columns[:, np.lexsort((columns[3], columns[1], columns[5]))]
    listener, name, item, time, artist, window = columns
    is_first = np.append(True, (np.diff(name) != 0) | (np.diff(window) != 0))
    session = is_first.cumsum() - 1
    began, window_of = time[is_first], window[is_first]
    tracks, track = np.unique(item, return_inverse=True)
    plays = Sessions(listener, session, track, time, artist, len(tracks))
    for number in np.unique(window):
        since = np.quantile(began[window_of == number], 1 - HELD_OUT)
        is_tested = (window_of == number) & (began >= since)
        yield plays.select((began < since)[session]), plays.select(is_tested[session])
