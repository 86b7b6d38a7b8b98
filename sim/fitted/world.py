"""A fitted world, made of a table and factors."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from looplib.arrays import Float32Array, FloatArray
from looplib.randomness import make_generator
from sim.fitted.config import FitConfig
from sim.fitted.factors import Factors, Texts
from sim.fitted.table import ListeningTable
from sim.fitted.tuning import Tuning, tune
from sim.worlds.generate import draw_span, user_records
from sim.worlds.neighbours import nearest_tracks

_HEARD_MOST = 64  # tracks of a listener that are looked at


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
    every unpopular track near every other. Listeners of the factors who heard nothing are left out.
    """
    active = np.unique(table.user)
    table = table.only(active)
    directions, unplaced = _directions(factors.item_factors, config.seed)
    interests = choose_interests(table, directions, config)
    rng = make_generator(config.seed, "fitted listeners")
    bias = draw_span(config.consume_bias, table.users, rng)
    sharpness = draw_span(config.consume_sharpness, table.users, rng)
    flat = np.fromiter(chain.from_iterable(interests), dtype=np.int64)
    who = np.repeat(np.arange(table.users), [len(own) for own in interests])
    nearest = nearest_tracks(directions.astype(np.float32), flat, min(config.interest_neighbours, table.tracks))
    tuning = tune(directions, flat, nearest, bias[who], sharpness[who], config)
    popularity = np.round(table.popularity / table.popularity.mean(), 4).tolist()
    columns = zip(factors.tracks, texts, popularity, strict=True)
    users = user_records(interests, np.round(bias + tuning.bias_shift, 3), sharpness, config.session_budget)
    same = {"interest_neighbours": config.interest_neighbours, "artist_discount_gamma": config.gamma}
    return FittedWorld(
        embeddings=(directions * np.sqrt(tuning.squared_length)).astype(np.float32),
        tracks=[
            {"track": track, "id": own_id, "artist": artist, "title": title, "popularity": relative}
            for track, (own_id, (artist, title), relative) in enumerate(columns)
        ],
        users=[
            {**user, "id": factors.users[number], **same} for user, number in zip(users, active.tolist(), strict=True)
        ],
        table=table,
        tuning=tuning,
        silent=len(factors.users) - len(active),
        unplaced=unplaced,
    )


def choose_interests(table: ListeningTable, directions: FloatArray, config: FitConfig) -> list[list[int]]:
    """Choose interests of each listener: a few of the tracks heard most that stand for all that was heard.

    Tracks are chosen one after another, each time the one that adds most to

        sum over heard tracks j of weight_j * max(0, largest cosine of j with a chosen track),

    the exemplar clustering of Gomes and Krause, "Budgeted nonparametric learning from data streams" (ICML 2010), whose
    greedy choice comes within 1 - 1/e of the best. Heavy parts of a listener's taste get an interest first, and a
    second one only when what it adds beats the lighter parts; ties go to the track heard more, then to the lower
    number. `directions` (tracks, dimensions) are the tracks', each of length 1.
    """
    chosen = []
    for first, end in zip(table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True):
        tracks, weights = table.track[first:end], table.weight[first:end]
        most = np.argsort(-weights, kind="stable")[:_HEARD_MOST]
        own = directions[tracks[most]]
        exemplars = _exemplars(np.maximum(own @ own.T, 0.0), weights[most], config)
        chosen.append(tracks[most[exemplars]].tolist())
    return chosen


def _exemplars(closeness: FloatArray, weights: FloatArray, config: FitConfig) -> list[int]:
    """Return the indices of the chosen among the candidates (n,), in the order of their choice."""
    reached = np.zeros(len(weights))  # how well each is stood for
    least = config.interest_gain * weights.sum()
    chosen: list[int] = []
    for _ in range(min(config.interests_high, len(weights))):
        gains = np.maximum(closeness - reached, 0.0) @ weights
        gains[chosen] = -1.0
        best = int(np.argmax(gains))
        if len(chosen) >= config.interests_low and gains[best] < least:
            break
        chosen.append(best)
        reached = np.maximum(reached, closeness[best])
    return chosen


def _directions(factors: FloatArray, seed: int) -> tuple[FloatArray, int]:
    """Return vectors of length 1, and how many are random because a track's factors are all 0."""
    lengths = np.linalg.norm(factors, axis=1)
    unplaced = lengths == 0
    count = int(unplaced.sum())
    placed = factors.copy()
    placed[unplaced] = make_generator(seed, "tracks without factors").standard_normal((count, factors.shape[1]))
    return placed / np.linalg.norm(placed, axis=1, keepdims=True), count
