"""Recommenders of a collection: each answers many sessions at once and knows the probability of its draw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.errors import SimError, WorldError
from sim.listening.sessions import LONGEST_SESSION, Sessions
from sim.worlds.files import World


@dataclass(frozen=True)
class Recommended:
    """A track for each session asked about."""

    tracks: IntArray  # (rows,)
    propensity: FloatArray  # (rows,), probability of that draw; NaN where it is not known


class Recommender(Protocol):
    """What recommends the next track of sessions under way."""

    def recommend(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> Recommended:
        """Return a track for each session in `rows`; all randomness comes from `rng`."""


@dataclass(frozen=True)
class RandomRecommender:
    """Recommends any track of the catalogue, all equally likely, repeats included."""

    tracks: int

    def recommend(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> Recommended:
        """Draw from the whole catalogue."""
        del sessions
        return Recommended(rng.integers(self.tracks, size=len(rows)), np.full(len(rows), 1.0 / self.tracks))


RECOMMENDERS: dict[str, Callable[[World], Recommender]] = {"random": lambda world: RandomRecommender(world.tracks)}


def make_recommender(name: str, world: World) -> Recommender:
    """Return the recommender of that name for a world.

    Raises:
        SimError: There is none; the message names those there are.
    """
    if name not in RECOMMENDERS:
        raise SimError(f"recommender: {name} is unknown; allowed: {', '.join(sorted(RECOMMENDERS))}")
    return RECOMMENDERS[name](world)


def play_out(sessions: Sessions, recommender: Recommender, rng: np.random.Generator) -> FloatArray:
    """Play all sessions to their ends.

    Returns:
        Propensities (tracks played in the longest, sessions): of the recommendation after each track, NaN after the
        last one.

    Raises:
        WorldError: A session does not end.
    """
    propensities: list[FloatArray] = []
    while len(rows := sessions.under_way()):
        if len(propensities) == LONGEST_SESSION:
            listener = int(sessions.listener[rows[0]])
            raise WorldError(f"listener {listener} is not bored after {LONGEST_SESSION} tracks in one session")
        recommended = recommender.recommend(sessions, rows, rng)
        sessions.hear(rows, recommended.tracks, rng.random(len(rows)))
        propensities.append(np.full(len(sessions.listener), np.nan))
        propensities[-1][rows] = recommended.propensity
    return np.stack([*propensities, np.full(len(sessions.listener), np.nan)])
