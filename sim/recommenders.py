"""Who recommends in a collection: each answers many sessions at once and knows the probability of its draw."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.errors import SimError
from sim.listening.sessions import Sessions
from sim.worlds.files import World


@dataclass(frozen=True)
class Recommended:
    """One track for each session asked about."""

    tracks: IntArray  # (rows,)
    propensity: FloatArray  # (rows,), probability of that draw; NaN where it is not known


class Recommender(Protocol):
    """Recommends the next track of sessions under way."""

    def recommend(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> Recommended:
        """One track for each session in `rows`; all randomness comes from `rng`."""


@dataclass(frozen=True)
class RandomRecommender:
    """Any track of the catalogue, all equally likely, repeats included."""

    tracks: int

    def recommend(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> Recommended:
        """Draws from the whole catalogue whatever was played."""
        del sessions
        return Recommended(rng.integers(self.tracks, size=len(rows)), np.full(len(rows), 1.0 / self.tracks))


def _make_random(world: World) -> Recommender:
    return RandomRecommender(world.tracks)


RECOMMENDERS = {"random": _make_random}


def make_recommender(name: str, world: World) -> Recommender:
    """The recommender of that name for a world.

    Raises:
        SimError: There is none; the message names those there are.
    """
    if name not in RECOMMENDERS:
        raise SimError(f"recommender: {name} is unknown; allowed: {', '.join(sorted(RECOMMENDERS))}")
    return RECOMMENDERS[name](world)
