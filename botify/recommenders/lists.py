"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list.

All but `in_order` draw, each track equally likely.
"""

from collections.abc import Iterable
from itertools import chain, repeat

import numpy as np

from botify.model.model import Model
from botify.model.tracklists import NO_TRACK, TrackLists
from botify.recommenders.base import (
    EXHAUSTED,
    IS_EXHAUSTED,
    IS_UNKNOWN,
    UNKNOWN,
    Batch,
    Drawn,
    in_blocks,
)

_REDRAWS = 8
_WORTH_ARRAYS = 16  # rows; fewer are quicker one by one


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
            track = [track for track in range(total) if track not in row.taken][
                int(rng.random() * count)
            ]
        drawn.append(Drawn(track, 1.0 / count))
    return drawn


def sticky_artist(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw another track of the artist just heard."""
    catalogue = model.catalogue
    return _draw(
        (
            catalogue.tracks_of(catalogue.artist[row.tracks[-1]]).tolist()
            for row in batch
        ),
        batch,
        rng,
    )


def top_pop(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one of the most popular tracks."""
    return _draw(repeat(model.popular, len(batch)), batch, rng)


@in_blocks(256)
def indexed(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one track of the listener's own list."""
    if len(batch) < _WORTH_ARRAYS:
        return _draw(
            (model.recommendations.list_of(row.user) for row in batch), batch, rng
        )
    return _draw_in_arrays(model.recommendations, batch, rng)


def in_order(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the best track of the listener's own list; the same session gets the same track."""
    drawn = []
    for row in batch:
        own = model.recommendations.list_of(row.user)
        track = next((track for track in own if track not in row.taken), None)
        missing = IS_EXHAUSTED if own else IS_UNKNOWN
        drawn.append(missing if track is None else Drawn(track, 1.0))
    return drawn


def _draw(
    lists: Iterable[list[int]], batch: Batch, rng: np.random.Generator
) -> list[Drawn]:
    """Draw one track that is not taken of each row's list, all equally likely."""
    drawn = []
    for tracks, row, at in zip(
        lists, batch, rng.random(len(batch)).tolist(), strict=True
    ):
        taken = row.taken
        free = [track for track in tracks if track not in taken]
        missing = IS_EXHAUSTED if tracks else IS_UNKNOWN
        drawn.append(
            Drawn(free[int(at * len(free))], 1.0 / len(free)) if free else missing
        )
    return drawn


def _draw_in_arrays(
    lists: TrackLists, batch: Batch, rng: np.random.Generator
) -> list[Drawn]:
    """Draw what `_draw` does of the listeners' own lists, in arrays of shape (rows, length of a list)."""
    own = lists.lists_of(np.array([row.user for row in batch]))
    counts = np.array([len(row.tracks) for row in batch])
    taken = np.fromiter(
        chain.from_iterable(row.tracks for row in batch), np.int64, counts.sum()
    )
    starts = counts.cumsum() - counts  # no row is empty: the track just heard is taken
    are_taken = np.logical_or.reduceat(
        own[np.arange(len(batch)).repeat(counts)] == taken[:, None], starts, axis=0
    )
    free = ~are_taken & (own != NO_TRACK)
    counts = free.sum(axis=1)
    drawn = (
        free.cumsum(axis=1)
        > (rng.random(len(batch)) * counts).astype(np.int64)[:, None]
    ).argmax(axis=1)
    tracks = own[np.arange(len(batch)), drawn].tolist()
    missing = np.where(own[:, 0] == NO_TRACK, UNKNOWN, EXHAUSTED).tolist()
    return [
        Drawn(track, 1.0 / count) if count else Drawn(why, None)
        for track, count, why in zip(tracks, counts.tolist(), missing, strict=True)
    ]
