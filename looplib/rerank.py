"""Re-rank lists: few tracks of an artist or album, and tracks distant from each other."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from looplib.arrays import NO_TRACK, AnyFloatArray, AnyIntArray, FloatArray, Int32Array
from looplib.config import Config, Count

ARTIST = "artist"  # the category that every catalogue has
_DEEP = 5  # tracks that are ranked for each track of a re-ranked list
_AT_ONCE = 2**23  # numbers of factors


class Rerank(Config):
    """How lists are re-ranked; by default they are not."""

    most_per: dict[str, Count] = {}  # noqa: RUF012  checked, then shared by nobody
    """tracks of an artist, or of another category of the catalogue, on a list, such as `{artist: 2,
    album: 1}`; further tracks come last"""
    diversity: Annotated[float, Ge(0), Lt(1)] = 0.0
    """weight of the distance to the tracks above, beside the rank: by factors, or else by artist"""

    def __hash__(self) -> int:
        """Hash the values, of which one is a dictionary."""
        return hash((*self.most_per.items(), self.diversity))

    @property
    def is_on(self) -> bool:
        """Whether lists change."""
        return bool(self.most_per) or self.diversity > 0

    def depth(self, k: int) -> int:
        """Return the number of tracks to rank for lists of k tracks."""
        return _DEEP * k if self.is_on else k


def rerank(
    lists: AnyIntArray,
    k: int,
    options: Rerank,
    groups: Mapping[str, AnyIntArray],
    factors: AnyFloatArray | None = None,
) -> Int32Array:
    """Choose the tracks of lists again, one by one; the first track stays.

    Maximal marginal relevance (Carbonell & Goldstein, The Use of MMR, Diversity-Based Reranking,
    1998): a track has (1 - diversity) x relevance - diversity x similarity, where the relevance
    falls from 1 to 0 with the rank, and similarity is the cosine to the closest track above.

    >>> artists = np.array([[0] * 6 + [1, 2]])
    >>> limits = Rerank(most_per={"artist": 1})
    >>> rerank(np.array([[4, 5, 6, 7]]), 3, limits, {"artist": artists})
    array([[4, 6, 7]], dtype=int32)

    Args:
        lists: Tracks, best first, `NO_TRACK` at the end of short lists; shape (lists, any).
        k: Length of the new lists.
        options: How to choose.
        groups: Categories of the tracks by column, each of shape (categories of a track, tracks),
            the artist among them; a track of no known category has its own. Limits of other columns
            change nothing.
        factors: Vectors whose cosine is the similarity, shape (tracks, factors). Without them
            tracks of an artist have similarity 1, and others 0.

    Returns:
        Shape (lists, min(k, length)).
    """
    size = lists.shape[1] * (1 if factors is None else factors.shape[1])
    rows = max(1, _AT_ONCE // max(1, size))
    parts = [
        _rerank(lists[first : first + rows], k, options, groups, factors)
        for first in range(0, max(1, len(lists)), rows)
    ]
    return np.concatenate(parts)


def _rerank(
    lists: AnyIntArray,
    k: int,
    options: Rerank,
    groups: Mapping[str, AnyIntArray],
    factors: AnyFloatArray | None,
) -> Int32Array:
    count, length = lists.shape
    every = np.arange(count)
    groups = {name: group[:, lists] for name, group in groups.items()}
    limits = {name: most for name, most in options.most_per.items() if name in groups}
    unit = None
    if factors is not None and options.diversity:
        unit = _normalize(factors[lists])
    relevance = np.linspace(1, 0, length)
    is_free = lists != NO_TRACK
    similarity = np.zeros(lists.shape)  # largest similarity to a track above
    counts = {name: np.zeros(lists.shape, np.int64) for name in groups}  # tracks above
    is_same = {}
    best_lists = np.full((count, min(k, length)), NO_TRACK, np.int32)
    for place in range(best_lists.shape[1]):
        value = (1 - options.diversity) * relevance - options.diversity * similarity
        for name, most in limits.items():
            value -= 2.0 * (counts[name] >= most)
        value[~is_free] = -np.inf
        best = value.argmax(axis=1)
        best_lists[:, place] = np.where(
            is_free[every, best], lists[every, best], NO_TRACK
        )
        is_free[every, best] = False
        for name, group in groups.items():
            is_same[name] = np.any(
                [
                    row == other[every, best][:, np.newaxis]
                    for row in group
                    for other in group
                ],
                axis=0,
            )
            counts[name] += is_same[name]
        similar = is_same[ARTIST]
        if unit is not None:
            similar = np.einsum("rtf,rf->rt", unit, unit[every, best])
        similarity = np.maximum(similarity, similar)
    return best_lists


def _normalize(vectors: AnyFloatArray) -> FloatArray:
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    unit: FloatArray = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
