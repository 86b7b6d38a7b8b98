"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list.

All but `in_order` draw, each track equally likely.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from botify.model.model import Model
from botify.model.tracklists import NO_TRACK
from botify.recommenders.base import EXHAUSTED, IS_EXHAUSTED, IS_UNKNOWN, UNKNOWN, Batch, Drawn, Row
from looplib.arrays import FloatArray

_REDRAWS = 8
_WORTH_ARRAYS = 16  # rows; fewer are quicker one by one
_BLOCK = 256  # rows at once, so that what is compared stays in the cache


def random(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw any track of the catalogue."""
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
    """Draw another track of the artist just heard."""
    ats = rng.random(len(batch)).tolist()
    of_artist = model.catalogue.tracks_of_artist
    return [_draw(of_artist(row.tracks[-1]), row, at) for row, at in zip(batch, ats, strict=True)]


def top_pop(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one of the most popular tracks."""
    ats = rng.random(len(batch)).tolist()
    return [_draw(model.popular, row, at) for row, at in zip(batch, ats, strict=True)]


def indexed(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one track of the listener's own list."""
    ats = rng.random(len(batch))
    if len(batch) < _WORTH_ARRAYS:
        found = [model.recommendations.list_of(row.user) for row in batch]
        return [
            _draw(own, row, at) if own else IS_UNKNOWN for own, row, at in zip(found, batch, ats.tolist(), strict=True)
        ]
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(batch), _BLOCK))
    return list(chain.from_iterable(_draw_all(model, batch[block], ats[block]) for block in blocks))


def in_order(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Take the best track of the listener's own list; the same session gets the same track."""
    del rng
    drawn = []
    for row in batch:
        own = model.recommendations.list_of(row.user)
        track = next((track for track in own if track not in row.taken), None)
        missing = IS_EXHAUSTED if own else IS_UNKNOWN
        drawn.append(missing if track is None else Drawn(track, 1.0))
    return drawn


def _draw(tracks: Iterable[int], row: Row, at: float) -> Drawn:
    """Draw one of some tracks that are not taken, all equally likely, where `at` is uniform in [0, 1)."""
    taken = row.taken
    free = [track for track in tracks if track not in taken]
    count = len(free)
    return Drawn(free[int(at * count)], 1.0 / count) if count else IS_EXHAUSTED


def _draw_all(model: Model, batch: Batch, ats: FloatArray) -> Iterable[Drawn]:
    """Draw what `_draw` does of the listeners' own lists, in arrays of shape (rows, length of a list)."""
    lists = model.recommendations.lists_of(np.array([row.user for row in batch]))
    counts = np.array([len(row.all_taken) for row in batch])
    taken = np.fromiter(chain.from_iterable(row.all_taken for row in batch), np.int64, counts.sum())
    starts = counts.cumsum() - counts  # no row is empty: the track just heard is taken
    are_taken = np.logical_or.reduceat(lists[np.arange(len(batch)).repeat(counts)] == taken[:, None], starts, axis=0)
    free = ~are_taken & (lists != NO_TRACK)
    counts = free.sum(axis=1)
    drawn = (free.cumsum(axis=1) > (ats * counts).astype(np.int64)[:, None]).argmax(axis=1)
    tracks = lists[np.arange(len(batch)), drawn].tolist()
    missing = np.where(lists[:, 0] == NO_TRACK, UNKNOWN, EXHAUSTED).tolist()
    return (
        Drawn(track, 1.0 / count) if count else Drawn(why, None)
        for track, count, why in zip(tracks, counts.tolist(), missing, strict=True)
    )
