"""Length of a fitted world's embeddings, and how easily its listeners are bored.

The data say where tracks lie, not how much of them is heard. Two numbers decide it: the squared length of all
embeddings, which widens the gap between near and far tracks, and a shift of all biases, which moves both. They are set
so that the tracks near an interest are heard to the share that is wanted, and sessions with random recommendations last
as long as is wanted.

With random tracks, heard to the mean share p of a session's interest, a session has budget / (1 - p) recommended tracks
on average, since each costs a point of the budget with probability 1 - its share (Wald's equation). Its listening time,
organic track included, is then 1 + budget * p / (1 - p). Earlier tracks of the same artist are left out of this.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.fitted.config import FitConfig
from sim.listening.response import raw_share
from sim.worlds.neighbours import nearest_tracks

_NEAR = 10  # tracks, the interest's own included
_TRACKS = 200  # random tracks for each session
_LENGTHS = (2.0, 60.0)  # squared
_BEYOND = 10.0  # how far a shift may exceed what any product of embeddings can be
_STEPS = 14


@dataclass(frozen=True)
class Tuning:
    """The squared length of all embeddings, the number added to all biases, and what that comes to."""

    squared_length: float
    bias_shift: float
    near_share: float  # mean share heard of the tracks near an interest


def tune(
    directions: FloatArray, interests: IntArray, bias: FloatArray, sharpness: FloatArray, config: FitConfig
) -> Tuning:
    """Find the squared length and the shift.

    `directions` (tracks, dimensions) have length 1, `interests` (sessions,) are tracks, `bias` and `sharpness` those of
    the sessions' listeners.
    """
    rng = make_generator(config.seed, "tuning")
    tracks = rng.integers(len(directions), size=(len(interests), _TRACKS))
    nearest = nearest_tracks(directions.astype(np.float32), interests, min(_NEAR, len(directions)))
    near = np.stack([np.vecdot(directions[interests], directions[column]) for column in nearest.T])
    far = np.stack([np.vecdot(directions[interests], directions[column]) for column in tracks.T])

    def shift_at(squared_length: float) -> float:
        def excess(shift: float) -> float:
            share = raw_share(squared_length * far, bias + shift, sharpness).mean(axis=0)
            listening = 1.0 + float(np.mean(config.session_budget * share / np.maximum(1.0 - share, 1e-9)))
            return config.random_listening - listening

        furthest = squared_length + _BEYOND
        return _root(excess, -furthest, furthest)

    def near_share(squared_length: float) -> float:
        return float(raw_share(squared_length * near, bias + shift_at(squared_length), sharpness).mean())

    squared_length = round(_root(lambda length: near_share(length) - config.near_share, *_LENGTHS), 3)
    return Tuning(squared_length, round(shift_at(squared_length), 3), near_share(squared_length))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that rises passes 0, by bisection; the nearer end if it does so outside."""
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
