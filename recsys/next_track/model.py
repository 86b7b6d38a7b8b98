"""Score the next track of a session by its latest tracks and its listener's own plays.

Two tracks are close if they are played in the same sessions, near to one another, or are by one
artist. Neighbours of tracks and V-SKNN, whose weights fall with the distance too: Ludewig and
Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack, identity, vstack

from looplib.arrays import Int32Array, IntArray
from looplib.next_track_file import LATEST
from recsys.dataset.plays import UNKNOWN_ARTIST
from recsys.models.repetition import activation, sum_plays
from recsys.models.sparse import nearest, top_neighbours, top_products
from recsys.next_track.config import NextTrackConfig
from recsys.next_track.sessions import Sessions

_BACKWARD = (
    0.5  # of a track that was played before another, against one played after it
)
_DECAY = 0.5  # of the activation of the listener's own plays


@dataclass(frozen=True)
class Weights:
    """What two parts of a score count against closeness in sessions; chosen by validation."""

    artist: float
    own: float


@dataclass(frozen=True)
class Parts:
    """What the score of a track is made of; each row adds up to 1, or is empty."""

    near: csr_matrix  # closeness in sessions, shape (tracks, tracks)
    artist: csr_matrix  # the artist's other tracks, by their listeners, shape (tracks, tracks)
    own: csr_matrix  # activation of the listener's own plays, shape (listeners, tracks)


@dataclass(frozen=True)
class NextTrackModel:
    """The nearest tracks of each track, and each listener's own, with their weights."""

    near: csr_matrix  # shape (tracks, tracks)
    own: csr_matrix  # shape (listeners, tracks)


@dataclass(frozen=True)
class Prefixes:
    """Beginnings of sessions, each of which asks for a next track."""

    latest: csr_matrix  # 1 / (plays ago) of the latest tracks, shape (prefixes, tracks)
    last: Int32Array  # the last track of each, shape (prefixes,)
    heard: csr_matrix  # 1 for each track heard so far, shape (prefixes, tracks)
    listeners: IntArray  # row of the listener of each, shape (prefixes,)


def fit_parts(
    sessions: Sessions,
    artists: Int32Array,
    listeners: int,
    config: NextTrackConfig,
    threads: int,
) -> Parts:
    """Learn the parts of a score.

    Args:
        sessions: What was played.
        artists: The artist of each track, shape (tracks,).
        listeners: How many there are.
        config: How far to look, and how much to keep.
        threads: They change no result.
    """
    tracks, keep = len(artists), config.neighbours
    near = top_neighbours(
        sessions.indptr,
        sessions.tracks,
        tracks,
        config.window,
        0.0,
        keep,
        threads,
        backward=_BACKWARD,
    )
    plays = sessions.by_listener(listeners)
    activations = sum_plays(plays, activation(plays, _DECAY), tracks)
    popular = (activations > 0).sum(axis=0).A1
    own = nearest(activations, identity(tracks, format="csr"), keep, threads)
    by_artist = same_artist(artists, popular, keep, threads)
    return Parts(_add_to_one(near), _add_to_one(by_artist), _add_to_one(own))


def same_artist(
    artists: Int32Array, popularity: IntArray, k: int, threads: int
) -> csr_matrix:
    """Return the popularity of the k most popular other tracks of each track's artist."""
    known = np.flatnonzero(artists != UNKNOWN_ARTIST)
    tracks, ones = len(artists), np.ones(len(known))
    shape = (int(artists.max(initial=0)) + 1, tracks)
    by_artist = csr_matrix((popularity[known], (artists[known], known)), shape)
    best = nearest(by_artist, identity(tracks, format="csr"), k + 1, threads)
    is_by = csr_matrix((ones, (known, artists[known])), (tracks, shape[0]))
    itself = identity(tracks, format="csr")
    return nearest(is_by, best, k, threads, itself)


def combine(
    parts: Parts, weights: Weights, config: NextTrackConfig, threads: int
) -> NextTrackModel:
    """Add up the parts with their weights."""
    both = csr_matrix(parts.near + weights.artist * parts.artist)
    every = identity(both.shape[1], format="csr")
    near = nearest(both, every, config.neighbours, threads)
    return NextTrackModel(near, csr_matrix(weights.own * parts.own))


def recommend(
    model: NextTrackModel, prefixes: Prefixes, k: int, threads: int
) -> Int32Array:
    """Return the k best tracks that the session has not heard, shape (prefixes, k)."""
    count, listeners = len(prefixes.listeners), model.own.shape[0]
    rows = np.arange(count)
    is_of = csr_matrix((np.ones(count), (rows, prefixes.listeners)), (count, listeners))
    left = csr_matrix(hstack([prefixes.latest, is_of]))
    right = csr_matrix(vstack([model.near, model.own]))
    return top_products(left, right, k, threads, prefixes.heard)[0]


def cut_prefixes(
    sessions: Sessions, tracks: int, longest: int
) -> tuple[Prefixes, Int32Array]:
    """Cut sessions before each of their tracks but the first, up to the `longest`-th.

    Returns:
        The prefixes, and the track that came next after each, shape (prefixes,).
    """
    counts = np.minimum(sessions.counts, longest)
    length = _count_up(np.maximum(counts - 1, 0)) + 1  # of each prefix
    session = np.repeat(np.arange(len(sessions)), np.maximum(counts - 1, 0))
    end = sessions.indptr[session] + length  # past the last play of each prefix
    shape = (len(session), tracks)
    ago = np.minimum(length, LATEST)
    row, back = np.repeat(np.arange(len(session)), ago), _count_up(ago) + 1
    played = sessions.tracks[end[row] - back]
    latest = csr_matrix((1 / back, (row, played)), shape)
    row, back = np.repeat(np.arange(len(session)), length), _count_up(length) + 1
    played = sessions.tracks[end[row] - back]
    heard = csr_matrix((np.ones(len(row)), (row, played)), shape)
    prefixes = Prefixes(
        latest, sessions.tracks[end - 1], heard, sessions.listeners[session]
    )
    return prefixes, sessions.tracks[end]


def _count_up(counts: IntArray) -> IntArray:
    """Return 0, 1, … for each count, one after the other."""
    starts = counts.cumsum() - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)


def _add_to_one(matrix: csr_matrix) -> csr_matrix:
    """Divide each row by its sum."""
    sums = matrix.sum(axis=1).A1
    return csr_matrix(diags(1 / np.where(sums > 0, sums, 1)) @ matrix)
