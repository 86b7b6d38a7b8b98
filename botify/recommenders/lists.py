"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list.

All but `in_order` draw, each track equally likely.
"""

from collections.abc import Iterable
from itertools import repeat

import numpy as np

from botify.model.model import LISTS, Model
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    Row,
    recommender,
)


@recommender(may_draw=lambda *_: True)
def random(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw any track of the catalogue."""
    total = len(model.catalogue)
    drawn = []
    for row in batch:
        count = total - len(row.taken)
        if count <= 0:
            drawn.append(IS_EXHAUSTED)
            continue
        track = int(rng.random() * total)
        while track in row.taken:
            track = int(rng.random() * total)
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


@recommender(LISTS, may_draw=_is_listed)
def indexed(model: Model, batch: Batch, rng: np.random.Generator) -> list[Drawn]:
    """Draw one track of the listener's own list."""
    lists = model.recommendations
    return _draw((lists.list_of(row.user) for row in batch), batch, rng)


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
