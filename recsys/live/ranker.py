"""Learn to rank the next play by all plays up to it.

LightGBM's lambdarank learns from single plays of the newest sessions, with the closeness of tracks
in the sessions before. Two tracks are close if the same sessions play them, a few plays apart, or
if they share an artist or another category. Ludewig and Jannach, "Evaluation of Session-based
Recommendation Algorithms", 2018, weigh neighbours by their distance in a session.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, identity

from looplib.arrays import BoolArray, Float32Array, Int32Array, IntArray
from looplib.categories import number_alone
from looplib.memory import MOST_PLAYS, tracks_of
from looplib.next_play import Facts, describe
from looplib.randomness import make_generator
from looplib.trees import Trees
from recsys.errors import SearchError
from recsys.live.sessions import Sessions
from recsys.models import candidates
from recsys.models.sparse import divide_rows, nearest, top_neighbours

HELD_OUT = 0.2  # share of the sessions, the newest, whose plays are predicted
PREDICTED = 60_000  # plays at most, so that learning takes a minute
_FEWEST = 100  # plays
_NEW = 0.25  # share of plays that are predicted for a new listener, too
_NEW_PLAYS = 20  # most plays of a new listener
# Chosen on the newest sessions of training plays, like the weights of the parts.
_WINDOW = 20  # largest distance in a session, in plays
_BACKWARD = 0.5  # weight of a play before a track, against a play after it
_NEIGHBOURS = 100  # tracks in each part of the closeness
_NEAR = 150  # tracks in the sum
_COUNTED = 2**22  # plays that are counted at once
_FANS = 0.25  # power of a track's listeners, among the tracks of its artist
_TREES = {"lambdarank": 80}
_PARAMETERS: Mapping[str, Any] = {
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 50,
    "lambdarank_truncation_level": 30,
}


class Examples(NamedTuple):
    """Candidates for plays of the newest sessions, with the tracks that were played."""

    features: Float32Array  # shape (candidates, features)
    is_target: BoolArray  # shape (candidates,)
    counts: IntArray  # candidates for each play


def gather_facts(sessions: Sessions, threads: int) -> Facts:
    """Gather the facts of tracks, with their closeness in sessions; the threads change no result.

    Closeness has several parts, and each adds up to 1 for a track: closeness in sessions, which
    counts once more within the artist, and each other category; the other tracks of each of these;
    and the second order, which is the closeness of neighbours to their neighbours.
    """
    played = sessions.select(sessions.tracks >= 0)
    tracks = sessions.features.groups.shape[1]
    itself = identity(tracks, format="csr")

    def neighbours(window: int, backward: float) -> csr_matrix:
        return _add_to_one(
            top_neighbours(
                played.indptr,
                played.tracks,
                tracks,
                window,
                0.0,
                _NEIGHBOURS,
                threads,
                backward=backward,
            )
        )

    near = neighbours(_WINDOW, _BACKWARD)
    second = _add_to_one(nearest(near, near, _NEIGHBOURS, threads, itself))
    first, other = near.tocoo(copy=False).row, near.indices
    closeness = near + second
    for groups in sessions.features.split_groups:
        group = number_alone(groups)
        is_same = np.any(
            [(row[first] == group[:, other]).any(axis=0) for row in group], axis=0
        )
        closeness += csr_matrix((near.data * is_same, other, near.indptr), near.shape)
        closeness += same_category(played, groups, threads)
    return candidates.gather_facts(
        nearest(closeness, itself, _NEAR, threads),
        neighbours(1, 0.0),
        sessions.tracks,
        sessions.features,
    )


def same_category(sessions: Sessions, groups: Int32Array, threads: int) -> csr_matrix:
    """Score the other tracks of each track's artist, or of its categories, by their listeners.

    Args:
        sessions: Sessions without skips.
        groups: Numbers of the categories, shape (categories of a track, tracks).
        threads: Number of tracks that are computed at once.

    Returns:
        Shape (tracks, tracks).
    """
    group = number_alone(groups)
    tracks = group.shape[1]
    plays = sessions.plays
    latest = np.minimum(plays.counts, MOST_PLAYS)
    fans = np.zeros(tracks, np.int64)
    for rows in np.array_split(
        np.arange(len(latest)), 1 + len(sessions.tracks) // _COUNTED
    ):
        part = plays.cut(np.zeros_like(latest), latest, rows)
        heard = np.unique(part.listeners * tracks + part.tracks)
        fans += np.bincount(heard % tracks, minlength=tracks)
    positions = (np.tile(np.arange(tracks), len(group)), group.ravel())
    is_of = csr_matrix((np.ones(group.size), positions))
    weights = np.tile(fans**_FANS, len(group))
    scores = csr_matrix(csr_matrix((weights, positions)).T)
    itself = identity(tracks, format="csr")
    return _add_to_one(nearest(is_of, scores, _NEIGHBOURS, threads, itself))


def learn(sessions: Sessions, facts: Facts, seed: int, most: int = PREDICTED) -> Trees:
    """Learn to rank the plays of the newest sessions; see `describe_examples`.

    Raises:
        SearchError: There are too few plays.
    """
    return fit_examples([describe_examples(sessions, facts, seed, most)], seed)


def describe_examples(
    sessions: Sessions,
    facts: Facts,
    seed: int,
    most: int = PREDICTED,
    part: int = 0,
    parts: int = 1,
) -> Examples:
    """Describe plays of the newest sessions, and the other candidates.

    Args:
        sessions: Older sessions, and the newest, which are predicted.
        facts: Facts of the tracks by the older sessions.
        seed: Decides which plays are predicted.
        most: Number of plays that are predicted, at most.
        part: Which part of these is described, from 0.
        parts: The number of parts.
    """
    generator = make_generator(seed, "live")
    plays = [*_sample(sessions, generator, most)]
    first, last = (len(plays) * end // parts for end in (part, part + 1))
    features = [np.empty((0, facts.feature_count), np.float32)]
    targets = [np.empty(0, np.bool_)]
    for history, target in plays[first:last]:
        tracks, described = describe(history, facts, tracks_of(history[-1:]).tolist())
        is_target = tracks == target
        if is_target.any():
            features.append(described)
            targets.append(is_target)
    counts = np.array([len(described) for described in features[1:]], np.int64)
    return Examples(np.concatenate(features), np.concatenate(targets), counts)


def fit_examples(examples: Sequence[Examples], seed: int) -> Trees:
    """Fit trees to examples.

    Raises:
        SearchError: There are too few.
    """
    features, targets, counts = map(np.concatenate, zip(*examples, strict=True))
    if len(counts) < _FEWEST:
        raise SearchError(
            f"fewer than {_FEWEST} plays of the newest sessions can be predicted"
        )
    return candidates.fit_trees(features, targets, counts, _TREES, _PARAMETERS, seed)


def _sample(
    sessions: Sessions, generator: np.random.Generator, most: int
) -> Iterator[tuple[Int32Array, int]]:
    """Sample plays that continue a newest session: the plays before, and the track."""
    is_next = sessions.mark_newest(HELD_OUT) & (sessions.tracks >= 0)
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
