"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list.

All but `in_order` draw, each track equally likely.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from botify.model.model import Model
from botify.model.tracklists import NO_TRACK
from botify.recommenders.base import (
    EXHAUSTED,
    IS_EXHAUSTED,
    IS_UNKNOWN,
    UNKNOWN,
    Batch,
    Drawn,
    Row,
    draw_one,
)
from looplib.arrays import BoolArray, FloatArray, Int32Array

_REDRAWS = 8
_WORTH_ARRAYS = 16  # rows; of fewer, one by one is quicker
_BLOCK = 256  # rows at once, so that what is compared stays in the cache


def random(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Any track of the catalogue."""
    total = len(model.catalogue)
    drawn = []
    for row, at in zip(batch, rng.random(len(batch)).tolist(), strict=True):
        count = total - len(row.taken)
        if count <= 0:
            drawn.append(IS_EXHAUSTED)
            continue
        track = int(at * total)
        for _ in range(_REDRAWS):
            if track not in row.taken:
                break
            track = int(rng.random() * total)
        else:  # a session that has heard nearly all of a small catalogue
            track = [track for track in range(total) if track not in row.taken][int(rng.random() * count)]
        drawn.append(Drawn(track, 1.0 / count))
    return drawn


def sticky_artist(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Another track of the artist just heard."""
    catalogue = model.catalogue
    return [
        draw_one([track for track in catalogue.tracks_of_artist(row.tracks[-1]) if track not in row.taken], at)
        for row, at in zip(batch, rng.random(len(batch)).tolist(), strict=True)
    ]


def top_pop(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """One of the most popular tracks."""
    return [
        draw_one([track for track in model.popular if track not in row.taken], at)
        for row, at in zip(batch, rng.random(len(batch)).tolist(), strict=True)
    ]


def indexed(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """One of the listener's own list."""
    ats = rng.random(len(batch))
    if len(batch) < _WORTH_ARRAYS:
        return [_of_own_list(model, row, at) for row, at in zip(batch, ats.tolist(), strict=True)]
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(batch), _BLOCK))
    return list(chain.from_iterable(_of_own_lists(model, batch[block], ats[block]) for block in blocks))


def in_order(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """The best of the listener's own list; the same session gets the same track."""
    del rng
    return [_first_of_own_list(model, row) for row in batch]


def _first_of_own_list(model: Model, row: Row) -> Drawn:
    own, taken = model.recommendations.list_of(row.user), row.taken
    track = next((track for track in own if track not in taken), None)
    if track is None:
        return IS_EXHAUSTED if own else IS_UNKNOWN
    return Drawn(track, 1.0)


def _of_own_list(model: Model, row: Row, at: float) -> Drawn:
    own, taken = model.recommendations.list_of(row.user), row.taken
    return draw_one([track for track in own if track not in taken], at) if own else IS_UNKNOWN


def _of_own_lists(model: Model, batch: Batch, ats: FloatArray) -> Iterable[Drawn]:
    """The same draws as `_of_own_list`, for a batch."""
    lists = model.recommendations.lists_of(np.array([row.user for row in batch]))
    free = ~_are_taken(lists, batch) & (lists != NO_TRACK)
    counts = free.sum(axis=1)
    drawn = (free.cumsum(axis=1) > (ats * counts).astype(np.int64)[:, None]).argmax(axis=1)
    tracks = lists[np.arange(len(batch)), drawn].tolist()
    missing = np.where(lists[:, 0] == NO_TRACK, UNKNOWN, EXHAUSTED).tolist()
    return (
        Drawn(track, 1.0 / count) if count else Drawn(why, None)
        for track, count, why in zip(tracks, counts.tolist(), missing, strict=True)
    )


def _are_taken(lists: Int32Array, batch: Batch) -> BoolArray:
    """Which tracks of lists, (rows, length), are taken in their rows."""
    counts = np.array([len(row.all_taken) for row in batch])
    taken = np.fromiter(chain.from_iterable(row.all_taken for row in batch), np.int64, counts.sum())
    rows = np.arange(len(batch)).repeat(counts)
    starts = counts.cumsum() - counts  # no row is empty: the track just heard is taken
    are_taken: BoolArray = np.logical_or.reduceat(lists[rows] == taken[:, None], starts, axis=0)
    return are_taken
