"""Recommendations made here, for many sessions at once, each with the probability of its draw."""

from collections.abc import Callable

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.errors import WorldError
from sim.listening.sessions import LONGEST_SESSION, Sessions

# Returns a track for each of some sessions under way, and its probability (rows,), NaN where that is not known.
Recommender = Callable[[Sessions, IntArray, np.random.Generator], tuple[IntArray, FloatArray]]


def recommend_random(sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """Draw any track of the catalogue, all equally likely, repeats included."""
    tracks = sessions.world.tracks
    return rng.integers(tracks, size=len(rows)), np.full(len(rows), 1.0 / tracks)


def play_out(sessions: Sessions, recommend: Recommender, rng: np.random.Generator) -> FloatArray:
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
        tracks, propensity = recommend(sessions, rows, rng)
        sessions.hear(rows, tracks, rng.random(len(rows)))
        propensities.append(np.full(len(sessions.listener), np.nan))
        propensities[-1][rows] = propensity
    return np.stack([*propensities, np.full(len(sessions.listener), np.nan)])
