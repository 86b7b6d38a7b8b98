"""Recommenders that draw, all equally likely, from the tracks not yet taken: of all, of an artist, of a list."""

import numpy as np

from botify.models import Model
from botify.recommenders.base import IS_EXHAUSTED, IS_UNKNOWN, Batch, Drawn, draw_one

_REDRAWS = 8


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
    lists = model.recommendations
    drawn = []
    for row, at in zip(batch, rng.random(len(batch)).tolist(), strict=True):
        own = lists.list_of(row.user)
        taken = row.taken
        drawn.append(draw_one([track for track in own if track not in taken], at) if own else IS_UNKNOWN)
    return drawn
