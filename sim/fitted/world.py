"""A fitted world, made of a table and factors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from looplib.arrays import Float32Array, FloatArray
from looplib.randomness import make_generator
from sim.fitted.config import FitConfig
from sim.fitted.factors import Factors, Ids, Texts
from sim.fitted.interests import choose_interests
from sim.fitted.table import ListeningTable
from sim.fitted.tuning import Tuning, tune
from sim.worlds.generate import Listeners, listener_columns, spread
from sim.worlds.neighbours import nearest_tracks


@dataclass(frozen=True)
class FittedWorld:
    """A world with the ids of the data; its own ids are 0..n-1 in the same order."""

    embeddings: Float32Array  # (tracks, dimensions), all of one length
    track_ids: Ids  # the data's
    user_ids: list[int | str]  # the data's, of listeners who heard something
    listeners: Listeners
    table: ListeningTable  # what they heard, by the world's ids
    tuning: Tuning
    silent: int  # listeners of the factors who heard nothing and are left out
    unplaced: int  # tracks whose factors are all 0


def fit_world(table: ListeningTable, factors: Factors, config: FitConfig) -> FittedWorld:
    """Fit a world to what was heard.

    Embeddings are the factors' directions: the length of a track's factors grows with its popularity, and would put
    every unpopular track near every other. Listeners of the factors who heard nothing are left out.
    """
    active = np.unique(table.user)
    table = table.only(active)
    directions, unplaced = _directions(factors.item_factors, config.seed)
    interests = choose_interests(table, directions, config)
    rng = make_generator(config.seed, "fitted listeners")
    bias = spread(config.consume_bias, table.users, rng)
    sharpness = spread(config.consume_sharpness, table.users, rng)
    flat = np.fromiter(chain.from_iterable(interests), dtype=np.int64)
    who = np.repeat(np.arange(table.users), [len(own) for own in interests])
    nearest = nearest_tracks(directions.astype(np.float32), flat, min(config.interest_neighbours, table.tracks))
    tuning = tune(directions, flat, nearest, bias[who], sharpness[who], config)
    return FittedWorld(
        embeddings=(directions * np.sqrt(tuning.squared_length)).astype(np.float32),
        track_ids=factors.tracks,
        user_ids=[factors.users[user] for user in active.tolist()],
        listeners=Listeners(interests, np.round(bias + tuning.bias_shift, 3), sharpness, config.session_budget),
        table=table,
        tuning=tuning,
        silent=len(factors.users) - len(active),
        unplaced=unplaced,
    )


def track_records(world: FittedWorld, texts: Texts) -> Iterator[dict[str, object]]:
    """Yield the lines of `tracks.json`; `id` is the data's."""
    relative = np.round(world.table.popularity / world.table.popularity.mean(), 4).tolist()
    for track, (own_id, (artist, title), popularity) in enumerate(zip(world.track_ids, texts, relative, strict=True)):
        yield {"track": track, "id": own_id, "artist": artist, "title": title, "popularity": popularity}


def user_records(world: FittedWorld, config: FitConfig) -> Iterator[dict[str, object]]:
    """Yield the lines of `users.json`; `id` is the data's."""
    for own_id, (user, interests, traits) in zip(world.user_ids, listener_columns(world.listeners), strict=True):
        yield {
            "user": user,
            "id": own_id,
            "interests": interests,
            "interest_neighbours": config.interest_neighbours,
            **traits,
            "artist_discount_gamma": config.gamma,
        }


def _directions(factors: FloatArray, seed: int) -> tuple[FloatArray, int]:
    """Return vectors of length 1, and how many are random because a track's factors are all 0."""
    lengths = np.linalg.norm(factors, axis=1)
    unplaced = lengths == 0
    count = int(unplaced.sum())
    placed = factors.copy()
    placed[unplaced] = make_generator(seed, "tracks without factors").standard_normal((count, factors.shape[1]))
    return placed / np.linalg.norm(placed, axis=1, keepdims=True), count
