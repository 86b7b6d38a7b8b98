"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list.

All but `in_order` draw, each track equally likely.
"""

from collections.abc import Iterable
from itertools import chain, repeat

import numpy as np

from botify.model.model import LISTS, Model
from botify.model.tracklists import NO_TRACK, TrackLists
from botify.recommenders.base import (
    EXHAUSTED,
    IS_EXHAUSTED,
    IS_UNKNOWN,
    UNKNOWN,
    Batch,
    Drawn,
    Row,
    recommender,
)

_REDRAWS = 8
_WORTH_ARRAYS = 16  # rows; fewer are quicker one by one


@recommender(may_draw=lambda *_: True)
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
            free = [track for track in range(total) if track not in row.taken]
            track = free[int(rng.random() * count)]
        drawn.append(Drawn(track, 1.0 / count))
    return drawn


def _is_of_same_artist(model: Model, row: Row, track: int) -> bool:
    artist = model.catalogue.artist
    return bool(artist[track] == artist[row.tracks[-1]])


@recommender(may_draw=_is_of_same_artist)
def sticky_artist(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw another track of the artist just heard."""
    catalogue = model.catalogue
    artists = (catalogue.artist[row.tracks[-1]] for row in batch)
    tracks = (catalogue.tracks_of(artist).tolist() for artist in artists)
    return _draw(tracks, batch, rng)


@recommender(LISTS, may_draw=lambda model, _, track: track in model.popular)
def top_pop(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one of the most popular tracks."""
    return _draw(repeat(model.popular, len(batch)), batch, rng)


def _is_listed(model: Model, row: Row, track: int) -> bool:
    return track in model.recommendations.list_of(row.user)


@recommender(LISTS, at_once=256, may_draw=_is_listed)
def indexed(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one track of the listener's own list."""
    lists = model.recommendations
    if len(batch) < _WORTH_ARRAYS:
        return _draw((lists.list_of(row.user) for row in batch), batch, rng)
    return _draw_in_arrays(lists, batch, rng)


@recommender(LISTS)
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
    chances = rng.random(len(batch)).tolist()
    for tracks, row, chance in zip(lists, batch, chances, strict=True):
        free = [track for track in tracks if track not in row.taken]
        if free:
            drawn.append(Drawn(free[int(chance * len(free))], 1.0 / len(free)))
        else:
            drawn.append(IS_EXHAUSTED if tracks else IS_UNKNOWN)
    return drawn


def _draw_in_arrays(
    lists: TrackLists, batch: Batch, rng: np.random.Generator
) -> list[Drawn]:
    """Draw what `_draw` draws of the listeners' own lists, (rows, length of a list)."""
    rows = np.arange(len(batch))
    own = lists.lists_of(np.array([row.user for row in batch]))
    taken_counts = np.array([len(row.tracks) for row in batch])
    all_heard = chain.from_iterable(row.tracks for row in batch)
    taken = np.fromiter(all_heard, np.int64, taken_counts.sum())
    # Each taken track beside its row's list; no row is empty: the track just heard is taken.
    matches = own[rows.repeat(taken_counts)] == taken[:, None]
    starts = taken_counts.cumsum() - taken_counts
    is_taken = np.logical_or.reduceat(matches, starts, axis=0)
    is_free = ~is_taken & (own != NO_TRACK)
    free_counts = is_free.sum(axis=1)
    # The free tracks are numbered from 1; the drawn one is the first beyond a random number.
    drawn_number = (rng.random(len(batch)) * free_counts).astype(np.int64)
    column = (is_free.cumsum(axis=1) > drawn_number[:, None]).argmax(axis=1)
    tracks = own[rows, column].tolist()
    missing = np.where(own[:, 0] == NO_TRACK, UNKNOWN, EXHAUSTED).tolist()
    return [
        Drawn(track, 1.0 / count) if count else Drawn(reason, None)
        for track, count, reason in zip(
            tracks, free_counts.tolist(), missing, strict=True
        )
    ]
