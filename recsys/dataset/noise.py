"""Find features of tracks that say nothing about the next play.

Such a column costs precision: its categories bring candidates, and trees learn from its accidents.
"""

import numpy as np

from looplib.arrays import AnyFloatArray, BoolArray, Float32Array, Int32Array
from looplib.categories import number_alone
from looplib.randomness import make_generator
from recsys.dataset.features import Features
from recsys.dataset.interactions import Plays

_COMPARED = 2**16  # plays at most
_LEAST_GAIN = 0.02  # of the mean similarity of random pairs
_ERRORS = 3  # standard errors


def mark_noise(features: Features, plays: Plays, is_heldout: BoolArray) -> list[bool]:
    """Mark columns in which consecutive tracks are no more similar than random pairs.

    The pairs are distinct tracks that follow each other in training plays; random pairs are the
    same tracks, shuffled.

    Args:
        features: Features of all tracks.
        plays: Plays and skips of all listeners.
        is_heldout: Whether each play is held out, shape (plays,).

    Returns:
        A flag for each column in the order of `features.names`.
    """
    tracks = plays.tracks
    step = 1 + len(tracks) // _COMPARED
    starts = np.setdiff1d(np.arange(0, len(tracks) - 1, step), plays.indptr[1:] - 1)
    starts = starts[~is_heldout[starts] & ~is_heldout[starts + 1]]
    pairs = np.sort(np.stack([tracks[starts], tracks[starts + 1]]), axis=0)
    pairs = pairs[:, (pairs[0] >= 0) & (pairs[0] != pairs[1])]  # without skips
    first, second = np.unique(pairs, axis=1)
    shuffled = make_generator(0, "features").permutation(second)

    def is_noise(next_to: AnyFloatArray, at_random: AnyFloatArray) -> bool:
        gain = next_to.mean() - at_random.mean()
        error = np.sqrt((next_to.var() + at_random.var()) / len(first))
        least = max(_ERRORS * error, _LEAST_GAIN * abs(at_random.mean()))
        return bool(gain <= least)

    if not len(first):
        return [False] * len(features.names)
    columns = [*map(number_alone, features.split_groups[1:])]
    return [
        *(
            is_noise(*(_share(group, first, other) for other in (second, shuffled)))
            for group in columns
        ),
        *(
            is_noise(
                *(-_distance(points, first, other) for other in (second, shuffled))
            )
            for points in features.split_points
        ),
    ]


def _share(group: Int32Array, first: Int32Array, second: Int32Array) -> AnyFloatArray:
    """Compute the share of equal categories of pairs of tracks, shape (pairs,)."""
    equal = [(row[first] == group[:, second]).mean(axis=0) for row in group]
    share: AnyFloatArray = np.mean(equal, axis=0)
    return share


def _distance(
    points: Float32Array, first: Int32Array, second: Int32Array
) -> AnyFloatArray:
    """Compute the distance of pairs of tracks, shape (pairs,)."""
    distance: AnyFloatArray = np.sqrt(
        ((points[first] - points[second]) ** 2).sum(axis=1)
    )
    return distance
