"""Number the categories of tracks, such as artists, albums and genres."""

from collections.abc import Sequence

import numpy as np

from looplib.arrays import Int32Array

UNKNOWN = -1  # the number of no category
_MOST_CATEGORIES = 8  # later categories of a track are ignored


def number_categories(names: Sequence[Sequence[str]], trained: int) -> Int32Array:
    """Number the categories of tracks, categories of the first `trained` tracks first.

    >>> number_categories([["b"], [], ["a", "b"], ["0"]], trained=3).tolist()
    [[1, -1, 0, 2], [1, -1, 1, 2]]

    Returns:
        Shape (most categories of a track, tracks); a track that has fewer repeats its own.
    """
    in_training = set().union(*names[:trained])
    ordered = sorted(
        set().union(*names), key=lambda name: (name not in in_training, name)
    )
    numbers = {name: number for number, name in enumerate(ordered)}
    width = min(max(map(len, names), default=1) or 1, _MOST_CATEGORIES)
    rows = [
        [numbers[of[place % len(of)]] if of else UNKNOWN for of in names]
        for place in range(width)
    ]
    return np.array(rows, np.int32)


def number_alone(groups: Int32Array) -> Int32Array:
    """Give each track of no known category a category of its own.

    >>> number_alone(np.array([1, -1, 0, -1], np.int32)).tolist()
    [1, 3, 0, 5]

    Args:
        groups: Numbers of categories, shape (…, tracks).
    """
    alone = groups.max(initial=-1) + 1 + np.arange(groups.shape[-1], dtype=np.int32)
    return np.where(groups == UNKNOWN, alone, groups)
