"""Score the next track of a session by its latest tracks and its listener's own plays.

Two tracks are close if they are played in the same sessions, near to one another, or are by one
artist. Neighbours of tracks and V-SKNN, whose weights fall with the distance too: Ludewig and
Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, hstack, identity, vstack

from looplib.arrays import BoolArray, FloatArray, Int32Array, IntArray, count_up
from looplib.memory import MOST_PLAYS
from looplib.next_track_file import DECAY, LATEST, find_followers
from recsys.config import NextTrackConfig
from recsys.dataset.interactions import number_artists
from recsys.models.activation import activation, sum_plays
from recsys.models.sparse import divide_rows, nearest, top_neighbours, top_products
from recsys.next_track.sessions import Sessions

_BACKWARD = 0.5  # of a play before a track, against one after it
_FANS = 0.25  # power of a track's listeners, among the tracks of its artist


@dataclass(frozen=True)
class Prefixes:
    """Beginnings of sessions, each of which asks for a next track."""

    latest: csr_matrix  # 1 / (plays ago) of the latest tracks, shape (prefixes, tracks)
    last: csr_matrix  # 1 for the last track, shape (prefixes, tracks)
    heard: csr_matrix  # 1 for each track heard so far, shape (prefixes, tracks)
    listeners: IntArray  # row of the listener of each, shape (prefixes,)
    target: Int32Array  # the track that came next, shape (prefixes,)

    def find_hits(self, lists: Int32Array) -> tuple[BoolArray, FloatArray]:
        """Find each next track in its list: whether it is there, and 1 / rank or 0."""
        is_hit = lists == self.target[:, np.newaxis]
        reciprocal = is_hit / np.arange(1, lists.shape[1] + 1)
        return is_hit.any(axis=1), reciprocal.sum(axis=1)


@dataclass(frozen=True)
class PartWeights:
    """What the parts of a score count against closeness in sessions; chosen by validation."""

    same: float = 1.0  # closeness once more, of tracks by one artist
    artist: float = 1.0
    second: float = 0.0  # what is near to what is near
    last_artist: float = 0.0  # the artist once more, of the last track alone
    follows: float = 0.0  # right after the last track
    follows_same: float = 0.0  # once more, by the same artist: an album goes on
    followed: float = 0.0  # in the listener's earlier sessions
    listener: float = 0.1


class NextTrackModel:
    """Close tracks, and the listener's plays; each row of a part adds up to 1, or is empty."""

    near: csr_matrix  # closeness in sessions, shape (tracks, tracks)
    same: csr_matrix  # its values of tracks by one artist, shape (tracks, tracks)
    second: csr_matrix  # closeness to what is near, shape (tracks, tracks)
    follows: csr_matrix  # the next play, shape (tracks, tracks)
    follows_same: (
        csr_matrix  # its values of tracks by one artist, shape (tracks, tracks)
    )
    # the artist's other tracks, by `_FANS` of their listeners, shape (tracks, tracks)
    artist: csr_matrix
    listener: (
        csr_matrix  # activation of the listener's plays, shape (listeners, tracks)
    )

    def __init__(self, config: NextTrackConfig) -> None:
        """Take a configuration."""
        self.config = config

    def fit(self, sessions: Sessions, *, threads: int) -> Self:
        """Learn the parts of a score; the threads change no result."""
        self.sessions = sessions
        self.threads = threads
        artists = number_artists(sessions.artists)
        tracks = len(artists)
        keep = self.config.neighbours
        itself = identity(tracks, format="csr")

        def neighbours(window: int, backward: float) -> csr_matrix:
            near = top_neighbours(
                sessions.indptr,
                sessions.tracks,
                tracks,
                window,
                0.0,
                keep,
                threads,
                backward=backward,
            )
            return _add_to_one(near)

        self.artists = artists
        self.near = near = neighbours(self.config.window, _BACKWARD)
        self.second = _add_to_one(nearest(near, near, keep, threads, itself))
        self.follows = follows = neighbours(1, 0.0)

        def by_one_artist(matrix: csr_matrix) -> csr_matrix:
            row = matrix.tocoo(copy=False).row
            same = matrix.data * (artists[row] == artists[matrix.indices])
            return csr_matrix((same, matrix.indices, matrix.indptr), matrix.shape)

        self.same = by_one_artist(near)
        self.follows_same = by_one_artist(follows)

        plays = sessions.plays
        self.plays = plays = plays.select(plays.age <= MOST_PLAYS)
        activations = sum_plays(plays, activation(plays, DECAY), tracks)
        self.listener = _add_to_one(activations)

        positions = (np.arange(tracks), artists)
        is_by = csr_matrix((np.ones(tracks), positions))
        fans = csr_matrix((activations.getnnz(axis=0) ** _FANS, positions))
        artist = nearest(is_by, csr_matrix(fans.T), keep, threads, itself)
        self.artist = _add_to_one(artist)
        return self

    def combine(self, weights: PartWeights) -> tuple[csr_matrix, csr_matrix]:
        """Add up the parts by tracks with their weights.

        Returns:
            The scores by each of the latest tracks, and what the last one adds, both of shape
                (tracks, tracks).
        """
        near = self.near + weights.same * self.same + weights.artist * self.artist
        near += weights.second * self.second
        last = weights.last_artist * self.artist + weights.follows * self.follows
        last += weights.follows_same * self.follows_same
        return _without_zeros(near), _without_zeros(last)

    def split(self, prefixes: Prefixes) -> list[tuple[csr_matrix, csr_matrix]]:
        """Split the scores of next tracks into parts.

        Returns:
            Closeness in sessions, then a part for each of `PartWeights`: two matrices whose product
                it is, shape (prefixes, tracks).
        """
        rows = np.arange(len(prefixes.target))
        positions = (rows, prefixes.listeners)
        shape = (len(rows), self.listener.shape[0])
        is_of = csr_matrix((np.ones(len(rows)), positions), shape)
        latest, last = prefixes.latest, prefixes.last
        itself = identity(len(rows), format="csr")
        return [
            (latest, self.near),
            (latest, self.same),
            (latest, self.artist),
            (latest, self.second),
            (last, self.artist),
            (last, self.follows),
            (last, self.follows_same),
            (itself, self._follow(prefixes)),
            (is_of, self.listener),
        ]

    def _follow(self, prefixes: Prefixes) -> csr_matrix:
        """Score what followed the latest tracks before, shape (prefixes, tracks)."""
        latest = prefixes.latest
        plays = self.plays
        rows = []
        columns = []
        scores = []
        for row, listener in enumerate(prefixes.listeners):
            tracks = plays.tracks[plays.indptr[listener] : plays.indptr[listener + 1]]
            cues = slice(latest.indptr[row], latest.indptr[row + 1])
            pairs = zip(latest.indices[cues], latest.data[cues], strict=True)
            added = find_followers(tracks, pairs)
            is_added = added > 0
            columns.append(tracks[is_added])
            scores.append(added[is_added])
            rows.append(np.full(is_added.sum(), row))
        positions = (np.concatenate(rows), np.concatenate(columns))
        return csr_matrix((np.concatenate(scores), positions), latest.shape)


def recommend(
    parts: Sequence[tuple[csr_matrix, csr_matrix]],
    weights: PartWeights,
    k: int,
    heard: csr_matrix,
    threads: int,
) -> Int32Array:
    """Recommend what each session has not heard, shape (prefixes, k).

    Args:
        parts: What `NextTrackModel.split` returns.
        weights: Of the parts but the first.
        k: Tracks of a list.
        heard: What the sessions have heard, shape (prefixes, tracks).
        threads: How many sessions are computed at once.
    """
    factors = (1.0, *astuple(weights))
    left = [factor * left for factor, (left, _) in zip(factors, parts, strict=True)]
    right = vstack([right for _, right in parts], "csr")
    return top_products(hstack(left, "csr"), right, k, threads, heard)[0]


def cut_prefixes(sessions: Sessions, longest: int) -> Prefixes:
    """Cut sessions before each of their tracks but the first, up to the `longest`-th."""
    tracks = len(sessions.artists)
    cuts = np.minimum(sessions.counts, longest) - 1
    length = count_up(cuts) + 1  # of each prefix
    session = np.repeat(np.arange(len(sessions)), cuts)
    end = sessions.indptr[session] + length  # past the last play of each prefix

    def newest(most: int) -> csr_matrix:
        """Weigh the newest tracks of each prefix by 1 / (plays ago)."""
        ago = np.minimum(length, most)
        row = np.repeat(np.arange(len(session)), ago)
        back = count_up(ago) + 1
        played = sessions.tracks[end[row] - back]
        return csr_matrix((1 / back, (row, played)), (len(session), tracks))

    listeners = sessions.listeners[session]
    target = sessions.tracks[end]
    return Prefixes(newest(LATEST), newest(1), newest(longest), listeners, target)


def _without_zeros(matrix: csr_matrix) -> csr_matrix:
    """Leave out values that are 0, as of parts that weigh nothing."""
    matrix = csr_matrix(matrix)
    matrix.eliminate_zeros()
    return matrix


def _add_to_one(matrix: csr_matrix) -> csr_matrix:
    """Divide each row by its sum."""
    return divide_rows(matrix, matrix.sum(axis=1).A1)
