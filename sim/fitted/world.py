"""A fitted world, made of a table and factors."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import Float32Array, FloatArray
from looplib.randomness import make_generator
from sim.fitted.config import FitConfig
from sim.fitted.factors import Factors, Texts
from sim.fitted.table import ListeningTable
from sim.fitted.tuning import Tuning, tune
from sim.worlds.generate import draw_span, user_records

_TUNED = 4000  # sessions that a world is tuned on


@dataclass(frozen=True)
class FittedWorld:
    """A world whose records have the ids of the data too; its own ids are 0..n-1 in the same order."""

    embeddings: Float32Array  # (tracks, dimensions), all of one length
    tracks: list[dict[str, object]]  # the lines of `tracks.json`; `id` is the data's
    users: list[dict[str, object]]  # the lines of `users.json`, of listeners who heard something
    table: ListeningTable  # what they heard, by the world's ids
    tuning: Tuning
    silent: int  # listeners of the factors who heard nothing and are left out
    unplaced: int  # tracks whose factors are all 0


def fit_world(table: ListeningTable, factors: Factors, texts: Texts, config: FitConfig) -> FittedWorld:
    """Fit a world to what was heard.

    Embeddings are the factors' directions: the length of a track's factors grows with its popularity, and would put
    every unpopular track near every other. What a listener heard opens sessions, as often as it was heard. Listeners of
    the factors who heard nothing are left out.
    """
    active = np.unique(table.user)
    table = table.only(active)
    directions, unplaced = _directions(factors.item_factors, config.seed)
    heard = most_heard(table, config.interests)
    rng = make_generator(config.seed, "fitted listeners")
    bias = draw_span(config.consume_bias, table.users, rng)
    sharpness = draw_span(config.consume_sharpness, table.users, rng)
    tuning = _tune(heard, directions, bias, sharpness, config)
    popularity = np.round(table.popularity / table.popularity.mean(), 4).tolist()
    columns = zip(factors.tracks, texts, popularity, strict=True)
    interests = [tracks for tracks, _ in heard]
    users = user_records(interests, np.round(bias + tuning.bias_shift, 3), sharpness, config.session_budget)
    return FittedWorld(
        embeddings=(directions * np.sqrt(tuning.squared_length)).astype(np.float32),
        tracks=[
            {"track": track, "id": own_id, "artist": artist, "title": title, "popularity": relative}
            for track, (own_id, (artist, title), relative) in enumerate(columns)
        ],
        users=[
            {**user, "interest_weights": weights, "id": factors.users[number]}
            for user, (_, weights), number in zip(users, heard, active.tolist(), strict=True)
        ],
        table=table,
        tuning=tuning,
        silent=len(factors.users) - len(active),
        unplaced=unplaced,
    )


def most_heard(table: ListeningTable, most: int) -> list[tuple[list[int], list[float]]]:
    """Return up to so many tracks of each listener, and their weights, heard most first; ties by number."""
    found = []
    for first, end in zip(table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True):
        order = first + np.argsort(-table.weight[first:end], kind="stable")[:most]
        found.append((table.track[order].tolist(), table.weight[order].tolist()))
    return found


def _tune(
    heard: list[tuple[list[int], list[float]]],
    directions: FloatArray,
    bias: FloatArray,
    sharpness: FloatArray,
    config: FitConfig,
) -> Tuning:
    """Tune on sessions of listeners drawn, each with an interest drawn as in the world."""
    rng = make_generator(config.seed, "tuned sessions")
    who = rng.integers(len(heard), size=_TUNED)
    interests = [rng.choice(heard[user][0], p=np.divide(heard[user][1], sum(heard[user][1]))) for user in who.tolist()]
    return tune(directions, np.array(interests), bias[who], sharpness[who], config)


def _directions(factors: FloatArray, seed: int) -> tuple[FloatArray, int]:
    """Return vectors of length 1, and how many are random because a track's factors are all 0."""
    lengths = np.linalg.norm(factors, axis=1)
    unplaced = lengths == 0
    count = int(unplaced.sum())
    placed = factors.copy()
    placed[unplaced] = make_generator(seed, "tracks without factors").standard_normal((count, factors.shape[1]))
    return placed / np.linalg.norm(placed, axis=1, keepdims=True), count
