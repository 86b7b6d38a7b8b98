"""Score the next track of a session by its latest tracks and its listener's own plays.

Two tracks are close if they are played in the same sessions, near to one another, or are by one
artist. Neighbours of tracks and V-SKNN, whose weights fall with the distance too: Ludewig and
Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags, identity

from looplib.arrays import Int32Array, IntArray
from looplib.next_track_file import LATEST
from recsys.config import NextTrackConfig
from recsys.dataset.plays import UNKNOWN_ARTIST
from recsys.models.repetition import activation, sum_plays
from recsys.models.sparse import nearest, top_neighbours
from recsys.next_track.sessions import Sessions

_BACKWARD = 0.5  # of a play before a track, against one after it
_DECAY = 0.5  # of the activation of the listener's own plays


@dataclass(frozen=True)
class Setting:
    """What sessions are of, and how they are learned from."""

    artists: Int32Array  # of each track, shape (tracks,)
    listeners: int
    config: NextTrackConfig
    threads: int  # they change no result


@dataclass(frozen=True)
class Weights:
    """What the parts of a score count against closeness in sessions; chosen by validation."""

    same: float = 1.0  # closeness once more, of tracks by one artist
    artist: float = 1.0
    own: float = 0.1


@dataclass(frozen=True)
class Parts:
    """What the score of a track is made of; each row adds up to 1, or is empty."""

    near: csr_matrix  # closeness in sessions, shape (tracks, tracks)
    same: csr_matrix  # its values of tracks by one artist, shape (tracks, tracks)
    artist: csr_matrix  # the artist's other tracks, by their listeners, shape (tracks, tracks)
    own: csr_matrix  # activation of the listener's own plays, shape (listeners, tracks)


@dataclass(frozen=True)
class NextTrackModel:
    """The parts of a score, summed by their weights."""

    near: csr_matrix  # of each of the latest tracks, shape (tracks, tracks)
    own: csr_matrix  # of the listener, shape (listeners, tracks)


@dataclass(frozen=True)
class Prefixes:
    """Beginnings of sessions, each of which asks for a next track."""

    latest: csr_matrix  # 1 / (plays ago) of the latest tracks, shape (prefixes, tracks)
    last: csr_matrix  # 1 for the last track, shape (prefixes, tracks)
    heard: csr_matrix  # 1 for each track heard so far, shape (prefixes, tracks)
    listeners: IntArray  # row of the listener of each, shape (prefixes,)


def fit_parts(sessions: Sessions, setting: Setting) -> Parts:
    """Learn the parts of a score."""
    config = setting.config
    threads = setting.threads
    artists = setting.artists
    tracks = len(artists)
    keep = config.neighbours
    itself = identity(tracks, format="csr")
    # a track of no known artist is alone
    alone = artists.max(initial=0) + 1 + np.arange(tracks, dtype=np.int32)
    artists = np.where(artists == UNKNOWN_ARTIST, alone, artists)

    near = _add_to_one(
        top_neighbours(
            sessions.indptr,
            sessions.tracks,
            tracks,
            config.window,
            0.0,
            keep,
            threads,
            backward=_BACKWARD,
        )
    )
    row = near.tocoo(copy=False).row
    is_same = artists[row] == artists[near.indices]
    same = csr_matrix((near.data * is_same, near.indices, near.indptr), near.shape)

    plays = sessions.by_listener(setting.listeners)
    activations = sum_plays(plays, activation(plays, _DECAY), tracks)
    own = nearest(activations, itself, keep, threads)

    places = (np.arange(tracks), artists)
    is_by = csr_matrix((np.ones(tracks), places))
    fans = csr_matrix((activations.getnnz(axis=0), places))
    artist = nearest(is_by, csr_matrix(fans.T), keep, threads, itself)
    return Parts(near, same, _add_to_one(artist), _add_to_one(own))


def combine(parts: Parts, weights: Weights) -> NextTrackModel:
    """Add up the parts with their weights."""
    near = parts.near + weights.same * parts.same + weights.artist * parts.artist
    return NextTrackModel(csr_matrix(near), csr_matrix(weights.own * parts.own))


def cut_prefixes(
    sessions: Sessions,
    tracks: int,
    longest: int,
) -> tuple[Prefixes, Int32Array]:
    """Cut sessions before each of their tracks but the first, up to the `longest`-th.

    Returns:
        The prefixes, and the track that came next after each, shape (prefixes,).
    """
    cuts = np.minimum(sessions.counts, longest) - 1
    length = _count_up(cuts) + 1  # of each prefix
    session = np.repeat(np.arange(len(sessions)), cuts)
    end = sessions.indptr[session] + length  # past the last play of each prefix

    def newest(most: int) -> csr_matrix:
        """Return 1 / (plays ago) of the newest tracks of each prefix."""
        ago = np.minimum(length, most)
        row = np.repeat(np.arange(len(session)), ago)
        back = _count_up(ago) + 1
        played = sessions.tracks[end[row] - back]
        return csr_matrix((1 / back, (row, played)), (len(session), tracks))

    listeners = sessions.listeners[session]
    prefixes = Prefixes(newest(LATEST), newest(1), newest(longest), listeners)
    return prefixes, sessions.tracks[end]


def _count_up(counts: IntArray) -> IntArray:
    """Return 0, 1, … for each count, one after the other."""
    starts = counts.cumsum() - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)


def _add_to_one(matrix: csr_matrix) -> csr_matrix:
    """Divide each row by its sum."""
    sums = matrix.sum(axis=1).A1
    return csr_matrix(diags(1 / np.where(sums > 0, sums, 1)) @ matrix)
