"""The next track of a session (30Music): what was played decides, nobody recommended anything.

Of each window the newest fifth of the sessions is tested; models learn from all sessions that began
before these. Every play but a session's first is predicted from the plays before it, and no list
has what the session has heard already.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, diags

from benchmarks.real.pairs import read_columns
from benchmarks.real.peers import Work
from benchmarks.real.product import THREADS
from benchmarks.real.tables import SEED, Table, ratio_interval, text
from looplib.arrays import FloatArray, Int32Array, IntArray
from recsys.models.sparse import nearest, top_products
from recsys.models.topk import fill_up
from recsys.next_track.config import NextTrackConfig
from recsys.next_track.model import (
    Prefixes,
    combine,
    cut_prefixes,
    fit_parts,
    recommend,
    same_artist,
)
from recsys.next_track.score import compare
from recsys.next_track.sessions import Sessions

K, HELD_OUT = 20, 0.2
NEIGHBOURS = 200


@dataclass(frozen=True)
class Task:
    """Sessions to learn from, and the beginnings of others, which a next track is asked for."""

    training: Sessions
    artists: Int32Array  # of each track, shape (tracks,)
    listeners: int
    asked: Prefixes
    target: Int32Array  # the track that came next, shape (prefixes,)

    @property
    def popularity(self) -> IntArray:
        """The plays of each track, shape (tracks,)."""
        return np.bincount(self.training.tracks, minlength=len(self.artists))

    def after_last(self, near: csr_matrix) -> Int32Array:
        """Return what is nearest to each last track; near is of shape (tracks, tracks)."""
        last, shape = self.asked.last, (len(self.target), len(self.artists))
        is_last = csr_matrix((np.ones(len(last)), (np.arange(len(last)), last)), shape)
        return top_products(is_last, near, K, THREADS, self.asked.heard)[0]


Recommender = Callable[[Task], Int32Array]  # returns lists, shape (prefixes, K)


def popular(task: Task) -> Int32Array:
    """Rank the tracks with the most plays."""
    plays = csr_matrix(task.popularity[np.newaxis])
    everybody = csr_matrix(np.ones((len(task.target), 1)))
    return top_products(everybody, plays, K, THREADS, task.asked.heard)[0]


def item_knn(task: Task) -> Int32Array:
    """Rank the tracks whose sessions are most like those of the last track, by the cosine."""
    training, shape = task.training, (len(task.artists), len(task.training))
    session = np.repeat(np.arange(len(training)), training.counts)
    ones = np.ones(len(session))
    by_track = csr_matrix((ones, (training.tracks, session)), shape)
    by_track.data[:] = 1
    lengths = np.sqrt(np.maximum(np.diff(by_track.indptr), 1))
    by_track = csr_matrix(diags(1 / lengths) @ by_track)
    by_session = csr_matrix(by_track.T)
    return task.after_last(nearest(by_track, by_session, NEIGHBOURS, THREADS))


def sticky_artist(task: Task) -> Int32Array:
    """Rank the most played other tracks of the last track's artist."""
    return task.after_last(
        same_artist(task.artists, task.popularity, NEIGHBOURS, THREADS)
    )


def next_track(task: Task) -> Int32Array:
    """Rank by this project's model, whose weights are chosen on the newest training sessions."""
    settings = NextTrackConfig()
    of = (task.training, task.artists, task.listeners, settings)
    weights = compare(*of, SEED, THREADS).weights
    model = combine(fit_parts(*of, THREADS), weights, settings, THREADS)
    return recommend(model, task.asked, K, THREADS)


RULES: Mapping[str, Recommender] = {
    "popular": popular,
    "item-kNN of the last track": item_knn,
    "sticky artist": sticky_artist,
}
OURS = "next_track (ours)"


def measure(file: Path, _work: Work) -> Table:
    """Predict every next track of the tested sessions."""
    found: dict[str, list[FloatArray]] = {}
    listeners = []
    for task in windows(file):
        listeners.append(task.asked.listeners)
        most = popular(task)
        for name, rank in {**RULES, OURS: next_track}.items():
            is_hit = fill_up(rank(task), most) == task.target[:, np.newaxis]
            reciprocal = is_hit / np.arange(1, K + 1)
            worth = np.stack([is_hit.sum(axis=1), reciprocal.sum(axis=1)])
            found.setdefault(name, []).append(worth)
    _, listener = np.unique(np.concatenate(listeners), return_inverse=True)
    plays = np.bincount(listener).astype(np.float64)
    sums = {
        name: [
            np.bincount(listener, values).astype(np.float64)
            for values in np.concatenate(parts, axis=1)
        ]
        for name, parts in found.items()
    }
    rows = [
        [name, *(text(ratio_interval(values, plays)) for values in both)]
        for name, both in sums.items()
    ]
    best = max(RULES, key=lambda name: float(sums[name][0].sum()))
    times = ratio_interval(sums[OURS][0], sums[best][0])
    title = f"30Music sessions: the next of {len(listener):,} tracks, {len(plays):,} listeners"
    note = f"precision of {OURS} over that of {best}: {text(times, 2)}"
    return Table(title, ("", f"precision@{K}", f"MRR@{K}"), rows, [note])


def windows(file: Path) -> Iterator[Task]:
    """Yield the task of each window."""
    names = ("UserId", "SessionId", "ItemId", "Time", "ArtistId", "slice")
    columns = np.stack(read_columns(file, *names))
    # a session's name may come again in another window
    columns = columns[:, np.lexsort((columns[3], columns[1], columns[5], columns[0]))]
    is_first = np.append(True, (np.diff(columns[[0, 1, 5]]) != 0).any(axis=0))
    session = is_first.cumsum() - 1
    start = columns[3, is_first][session]
    # listener by listener, the oldest first
    order = np.lexsort((session, start, columns[0]))
    user, _, item, time, artist, window = columns[:, order]
    starts = np.flatnonzero(np.append(True, np.diff(session[order]) != 0))
    users, listener = np.unique(user, return_inverse=True)
    tracks, track = np.unique(item, return_inverse=True)
    artists = np.zeros(len(tracks), np.int32)
    artists[track] = np.unique(artist, return_inverse=True)[1]
    sessions = Sessions(
        np.append(starts, len(user)),
        track.astype(np.int32),
        listener[starts],
        1000 * time[starts],
    )
    began, longest = sessions.start_ms, int(sessions.counts.max())
    for number in np.unique(window):
        is_here = window[starts] == number
        since = np.quantile(began[is_here], 1 - HELD_OUT)
        training = sessions.select(began < since)
        tested = sessions.select(is_here & (began >= since))
        asked, target = cut_prefixes(tested, len(tracks), longest)
        yield Task(training, artists, len(users), asked, target)
