"""A fitted world, made of a table and factors.

The data say where tracks lie, not how much of them is heard. Two numbers decide it: the squared
length of all embeddings, which widens the gap between near and far tracks, and a shift of all
biases, which moves both. They are set so that the tracks near an interest are heard to the share
that is wanted, and sessions with random recommendations last as long as is wanted.

With random tracks, heard to the mean share p of a session's interest, a session has budget / (1 -
p) recommended tracks on average, since each costs a point of the budget with probability 1 - its
share (Wald's equation). Its listening time, organic track included, is then 1 + budget * p / (1 -
p). Earlier tracks of the same artist are left out of this.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
from pydantic import Field

from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.config import Config, Count, Share
from looplib.randomness import make_generator
from sim.figures import Heard
from sim.fitted.data import Factors, ListeningTable, Texts
from sim.fitted.responses import Response, fit_response
from sim.listening.response import raw_share
from sim.worlds.config import (
    DEFAULT_GAMMA,
    DEFAULT_SESSION_BUDGET,
    PositiveSpan,
    ResponseConfig,
    Span,
)
from sim.worlds.generate import draw_span, user_records
from sim.worlds.neighbours import nearest_tracks

_TUNED = 4000  # sessions that a world is tuned on
_NEAR = 10  # tracks, the interest's own included
_TRACKS = 200  # random tracks for each session
_LENGTHS = (2.0, 60.0)  # squared
_BEYOND = 10.0  # how far a shift may exceed what any product of embeddings can be
_STEPS = 14
_LEAST = 1e-9  # of a popularity

Opened = tuple[
    list[int], list[float]
]  # tracks that open sessions of a listener, and how often


class FitConfig(Config):
    """What the data do not say of a world.

    Biases and sharpnesses are drawn as in generated worlds. Then all biases are moved by one
    number, and the embeddings lengthened by another, until random recommendations and the tracks
    near an interest are heard as is wanted here.
    """

    seed: int = Field(default=0, ge=0)  # of all randomness
    gamma: Share = Field(
        default=DEFAULT_GAMMA,
        description="factor on the share for each earlier track of the artist",
    )
    interests: Count = Field(
        default=500,
        description="most tracks of a listener, heard most, that open sessions",
    )
    consume_bias: Span = Span(low=1.0, high=5.9)
    consume_sharpness: PositiveSpan = PositiveSpan(low=0.3, high=1.2)
    session_budget: Count = (
        DEFAULT_SESSION_BUDGET  # bored so many times, a listener leaves
    )
    random_listening: float = Field(
        default=2.12,
        gt=1,
        le=100,
        description="listening time a session with random tracks",
    )
    near_share: float = Field(
        default=0.7,
        gt=0,
        lt=1,
        description="mean share heard of tracks near an interest",
    )
    sessions: Count = Field(
        default=300, description="opening tracks a listener, to compare with the data"
    )
    # a session opens with what was heard
    response: ResponseConfig = ResponseConfig(organic_neighbours=1)


@dataclass(frozen=True)
class FittedWorld:
    """A world whose records have the ids of the data too; its own ids are 0..n-1 in the same order."""

    embeddings: Float32Array  # (tracks, dimensions), all of one length
    tracks: list[dict[str, object]]  # the lines of `tracks.json`; `id` is the data's
    users: list[
        dict[str, object]
    ]  # the lines of `users.json`, of listeners who heard something
    # what they heard, or with a log how often it opened sessions, by the world's ids
    table: ListeningTable
    log: Heard | None  # by the world's ids too
    response: Response  # tuned, or with a log fitted
    unplaced: int  # tracks whose factors are all 0


def fit_world(
    table: ListeningTable,
    factors: Factors,
    texts: Texts,
    config: FitConfig,
    log: Heard | None = None,
) -> FittedWorld:
    """Fit a world to what was heard, and to the sessions of a log, if there is one.

    Embeddings are the factors' directions: the length of a track's factors grows with its
    popularity, and would put every unpopular track near every other. What a listener heard opens
    sessions, as often as it was heard. Listeners of the factors who heard nothing are left out.
    """
    active = np.unique(table.user)
    table = table.only(active)
    directions, unplaced = _directions(factors.item_factors, config.seed)
    heard = most_heard(table, config.interests)
    if log is None:
        response = _tuned_response(directions, heard, config)
    else:
        log = replace(log, listener=np.searchsorted(active, log.listener))
        heard = list(
            _with_new_tracks(heard, table.popularity(), directions, config.seed)
        )
        _, artist = np.unique([str(name) for name, _ in texts], return_inverse=True)
        response = fit_response(log, directions, artist, config.seed)
    popularity = np.round(table.popularity() / table.popularity().mean(), 4).tolist()
    columns = zip(factors.tracks, texts, popularity, strict=True)
    interests = [tracks for tracks, _ in heard]
    users = user_records(
        interests, response.bias, response.sharpness, response.session_budget
    )
    return FittedWorld(
        embeddings=(directions * np.sqrt(response.squared_length)).astype(np.float32),
        tracks=[
            {
                "track": track,
                "id": own_id,
                "artist": artist,
                "title": title,
                "popularity": relative,
            }
            for track, (own_id, (artist, title), relative) in enumerate(columns)
        ],
        users=[
            {**user, "interest_weights": weights, "id": factors.users[number]}
            for user, (_, weights), number in zip(
                users, heard, active.tolist(), strict=True
            )
        ],
        table=table,
        log=log,
        response=response,
        unplaced=unplaced,
    )


def _tuned_response(
    directions: FloatArray, heard: list[Opened], config: FitConfig
) -> Response:
    """Draw biases and sharpnesses of listeners, and move the biases so that sessions are as is wanted."""
    rng = make_generator(config.seed, "fitted listeners")
    bias = draw_span(config.consume_bias, len(heard), rng)
    sharpness = draw_span(config.consume_sharpness, len(heard), rng)
    rng = make_generator(config.seed, "tuned sessions")
    who = rng.integers(len(heard), size=_TUNED)
    opened = [
        rng.choice(heard[user][0], p=np.divide(heard[user][1], sum(heard[user][1])))
        for user in who.tolist()
    ]
    squared_length, bias_shift, near_share = tune(
        directions, np.array(opened), bias[who], sharpness[who], config
    )
    return Response(
        squared_length=squared_length,
        bias=np.round(bias + bias_shift, 3),
        sharpness=sharpness,
        session_budget=np.full(len(heard), config.session_budget),
        gamma=config.gamma,
        beyond=config.response,
        near_share=near_share,
    )


def most_heard(table: ListeningTable, most: int) -> list[Opened]:
    """Return up to so many tracks of each listener, and their weights, heard most first; ties by number."""
    found, offsets = [], table.offsets().tolist()
    for first, end in pairwise(offsets):
        order = first + np.argsort(-table.weight[first:end], kind="stable")[:most]
        found.append((table.track[order].tolist(), table.weight[order].tolist()))
    return found


def _with_new_tracks(
    heard: list[Opened], popularity: FloatArray, directions: FloatArray, seed: int
) -> Iterator[Opened]:
    """Add what will open sessions of a listener for the first time: for each track that opened one, another near it.

    They are drawn by popularity, and as likely together as the tracks met once are (Good, "The
    population frequencies of species", 1953).
    """
    rng = make_generator(seed, "new tracks")
    once = [
        [track for track, count in zip(*own, strict=True) if count == 1]
        for own in heard
    ]
    flat = np.array([track for own in once for track in own], dtype=np.int64)
    nearest = iter(
        nearest_tracks(
            directions.astype(np.float32), flat, min(_NEAR, len(directions))
        ).tolist()
    )
    for (tracks, counts), own in zip(heard, once, strict=True):
        new: dict[int, float] = {}
        for candidates in islice(nearest, len(own)):
            unknown = [
                track
                for track in candidates
                if track not in tracks and track not in new
            ]
            if unknown:
                chances = popularity[unknown] + _LEAST
                new[int(rng.choice(unknown, p=chances / chances.sum()))] = 1.0
        known = 1 - len(new) / (sum(counts) + 1)
        yield [*tracks, *new], [known * count for count in counts] + list(new.values())


def tune(
    directions: FloatArray,
    interests: IntArray,
    bias: FloatArray,
    sharpness: FloatArray,
    config: FitConfig,
) -> tuple[float, float, float]:
    """Find the squared length of all embeddings, the number to add to all biases, and the share heard near an interest.

    `directions` (tracks, dimensions) have length 1, `interests` (sessions,) are tracks, `bias` and
    `sharpness` those of the sessions' listeners.
    """
    rng = make_generator(config.seed, "tuning")
    tracks = rng.integers(len(directions), size=(len(interests), _TRACKS))
    nearest = nearest_tracks(
        directions.astype(np.float32), interests, min(_NEAR, len(directions))
    )
    near, far = (
        np.stack(
            [np.vecdot(directions[interests], directions[column]) for column in some.T]
        )
        for some in (nearest, tracks)
    )

    def shift_at(squared_length: float) -> float:
        def excess(shift: float) -> float:
            share = raw_share(squared_length * far, bias + shift, sharpness).mean(
                axis=0
            )
            listening = 1.0 + float(
                np.mean(config.session_budget * share / np.maximum(1.0 - share, 1e-9))
            )
            return config.random_listening - listening

        furthest = squared_length + _BEYOND
        return _root(excess, -furthest, furthest)

    def near_share(squared_length: float) -> float:
        return float(
            raw_share(
                squared_length * near, bias + shift_at(squared_length), sharpness
            ).mean()
        )

    squared_length = round(
        _root(lambda length: near_share(length) - config.near_share, *_LENGTHS), 3
    )
    return (
        squared_length,
        round(shift_at(squared_length), 3),
        near_share(squared_length),
    )


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that rises passes 0, by bisection; the nearer end if it does so outside."""
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return 0.5 * (low + high)


def _directions(factors: FloatArray, seed: int) -> tuple[FloatArray, int]:
    """Return vectors of length 1, and how many are random because a track's factors are all 0."""
    unplaced = ~factors.any(axis=1)
    count = int(unplaced.sum())
    placed = factors.copy()
    placed[unplaced] = make_generator(seed, "tracks without factors").standard_normal(
        (count, factors.shape[1])
    )
    return placed / np.linalg.norm(placed, axis=1, keepdims=True), count
