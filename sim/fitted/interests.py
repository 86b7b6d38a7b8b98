"""Interests of each listener: a few of the tracks heard most that stand for all that was heard.

Tracks are chosen one after another, each time the one that adds most to

    sum over heard tracks j of weight_j * max(0, largest cosine of j with a chosen track),

the exemplar clustering of Gomes and Krause, "Budgeted nonparametric learning from data streams" (ICML 2010), whose
greedy choice comes within 1 - 1/e of the best. Heavy parts of a listener's taste get an interest first, and a second
one only when what it adds beats the lighter parts; ties go to the track heard more, then to the lower number.
"""

import numpy as np

from looplib.arrays import FloatArray
from sim.fitted.config import FitConfig
from sim.fitted.table import ListeningTable

_HEARD_MOST = 64  # tracks of a listener that are looked at


def choose_interests(table: ListeningTable, directions: FloatArray, config: FitConfig) -> list[list[int]]:
    """Choose the interests of each listener, all of whom have heard something.

    Args:
        table: Who heard what.
        directions: (tracks, dimensions), each of length 1.
        config: How many.
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
