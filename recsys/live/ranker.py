"""Learn to rank the next play by all plays up to it.

LightGBM's lambdarank learns from single plays of the newest sessions, with the closeness of tracks
in the sessions before. Two tracks are close if the same sessions play them, a few plays apart, or
if they share an artist. Ludewig and Jannach, "Evaluation of Session-based Recommendation
Algorithms", 2018, weigh neighbours by their distance in a session.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, identity

from looplib.arrays import Float32Array, Int32Array
from looplib.memory import MOST_PLAYS
from looplib.next_play import Facts, describe
from looplib.randomness import make_generator
from looplib.trees import Trees
from recsys.dataset.interactions import number_artists
from recsys.errors import SearchError
from recsys.live.sessions import Sessions
from recsys.models import candidates
from recsys.models.activation import sum_plays
from recsys.models.sparse import divide_rows, nearest, top_neighbours

HELD_OUT = 0.2  # share of the sessions, the newest, whose plays are predicted
_PREDICTED = 60_000  # plays at most, so that learning takes a minute
_FEWEST = 100  # plays
_NEW = 0.25  # share of plays that are predicted for a new listener, too
_NEW_PLAYS = 20  # most plays of a new listener
# Chosen on the newest sessions of training plays, like the weights of the parts.
_WINDOW = 20  # largest distance in a session, in plays
_BACKWARD = 0.5  # weight of a play before a track, against a play after it
_NEIGHBOURS = 100  # tracks in each part of the closeness
_NEAR = 150  # tracks in the sum
_FANS = 0.25  # power of a track's listeners, among the tracks of its artist
_TREES = {"lambdarank": 80}
_PARAMETERS: Mapping[str, Any] = {
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 50,
    "lambdarank_truncation_level": 30,
}


def gather_facts(sessions: Sessions, threads: int) -> Facts:
    """Gather the facts of tracks, with their closeness in sessions; the threads change no result.

    Closeness has three parts, and each adds up to 1 for a track: closeness in sessions, which
    counts twice within an artist; the artist's other tracks; and the second order, which is the
    closeness of neighbours to their neighbours.
    """
    artists = number_artists(sessions.artists)
    itself = identity(len(artists), format="csr")

    def neighbours(window: int, backward: float) -> csr_matrix:
        return _add_to_one(
            top_neighbours(
                sessions.indptr,
                sessions.tracks,
                len(artists),
                window,
                0.0,
                _NEIGHBOURS,
                threads,
                backward=backward,
            )
        )

    near = neighbours(_WINDOW, _BACKWARD)
    second = _add_to_one(nearest(near, near, _NEIGHBOURS, threads, itself))
    is_same = artists[near.tocoo(copy=False).row] == artists[near.indices]
    arrays = (near.data + near.data * is_same, near.indices, near.indptr)
    by_artist = same_artist(sessions, threads)
    closeness = csr_matrix(arrays, near.shape) + by_artist + second
    follows = neighbours(1, 0.0)
    # The zeros put followers by the same artist first: the order of candidates breaks ties, so the
    # trees depend on it.
    follows = (0 * by_artist + follows) + 0 * follows
    return candidates.gather_facts(
        nearest(closeness, itself, _NEAR, threads),
        follows,
        sessions.tracks,
        sessions.artists,
    )


def same_artist(sessions: Sessions, threads: int) -> csr_matrix:
    """Score the other tracks of each track's artist by their listeners, shape (tracks, tracks)."""
    artists = number_artists(sessions.artists)
    tracks = len(artists)
    plays = sessions.plays
    plays = plays.select(plays.age <= MOST_PLAYS)
    fans = sum_plays(plays, np.ones(len(plays.tracks)), tracks).getnnz(axis=0)
    positions = (np.arange(tracks), artists)
    is_by = csr_matrix((np.ones(tracks), positions))
    scores = csr_matrix(csr_matrix((fans**_FANS, positions)).T)
    itself = identity(tracks, format="csr")
    return _add_to_one(nearest(is_by, scores, _NEIGHBOURS, threads, itself))


def learn(sessions: Sessions, facts: Facts, seed: int, most: int = _PREDICTED) -> Trees:
    """Learn to rank the plays of the newest sessions.

    Args:
        sessions: Older sessions, and the newest, which are predicted.
        facts: Facts of the tracks by the older sessions.
        seed: Decides which plays are predicted.
        most: Number of plays that are predicted, at most.

    Raises:
        SearchError: There are too few plays.
    """
    generator = make_generator(seed, "live")
    features: list[Float32Array] = []
    targets = []
    for history, target in _sample(sessions, generator, most):
        tracks, described = describe(history, facts, history[-1:].tolist())
        is_target = tracks == target
        if is_target.any():
            features.append(described)
            targets.append(is_target)
    if len(features) < _FEWEST:
        raise SearchError(
            f"fewer than {_FEWEST} plays of the newest sessions can be predicted"
        )
    counts = np.array([len(described) for described in features])
    examples = (np.concatenate(features), np.concatenate(targets), counts)
    return candidates.fit_trees(*examples, _TREES, _PARAMETERS, seed)


def _sample(
    sessions: Sessions, generator: np.random.Generator, most: int
) -> Iterator[tuple[Int32Array, int]]:
    """Sample plays that continue a newest session: the plays before, and the track."""
    is_next = sessions.mark_newest(HELD_OUT)
    is_next[sessions.indptr[:-1]] = False
    is_next[1:] &= sessions.tracks[1:] != sessions.tracks[:-1]
    predicted = np.flatnonzero(is_next)
    count = min(len(predicted), most)
    plays = np.sort(generator.choice(predicted, count, replace=False))
    targets = sessions.tracks[plays].tolist()
    for history, target in zip(sessions.histories(plays), targets, strict=True):
        yield history, target
        if generator.random() < _NEW:
            length = int(generator.integers(1, _NEW_PLAYS, endpoint=True))
            yield history[-length:], target


def _add_to_one(matrix: csr_matrix) -> csr_matrix:
    """Divide each row by its sum."""
    return divide_rows(matrix, matrix.sum(axis=1).A1)
