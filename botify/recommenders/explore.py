"""Explore: now and then draw the next track from the ranking of another recommender."""

import re
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from botify.model.model import ServedModel
from botify.recommenders.base import Drawn, Query, Recommender
from looplib.arrays import NO_TRACK, FloatArray

_NAME = re.compile(r"explore\((\w+), ?([\d.]+)(?:, ?top=(\d+))?\)")
_TOP = 100  # tracks of a ranking that are explored
_FADES = 5  # the chances of a ranking fall by exp(-5) from its first track to its last


class Exploration(NamedTuple):
    """The parts of a name such as `explore(live, 0.05, top=50)`."""

    recommender: str
    share: float  # probability of a draw from the ranking
    top: int = _TOP


@cache
def parse(name: str) -> Exploration | None:
    """Parse the name of an exploring recommender; None if the name is another.

    >>> parse("explore(live, 0.05)")
    Exploration(recommender='live', share=0.05, top=100)

    Raises:
        ValueError: The share or the number of tracks is out of range.
    """
    if not (match := _NAME.fullmatch(name)):
        return None
    recommender, share, top = match.groups(str(_TOP))
    exploration = Exploration(recommender, float(share), int(top))
    if not 0 < exploration.share <= 1:
        raise ValueError(f"{name}: a share above 0 and up to 1 is expected")
    if exploration.top < 2:
        raise ValueError(f"{name}: top of 2 tracks or more is expected")
    return exploration


def rank_chances(count: int, share: float, top: int = _TOP) -> FloatArray:
    """Compute the probabilities with which the first tracks of a ranking are drawn.

    >>> rank_chances(3, 0.1, top=2).round(4).tolist()
    [0.9924, 0.0076]

    Args:
        count: The length of the ranking.
        share: The probability of a draw by a softmax of -5 rank / `top`; else the best is taken.
        top: Only this many tracks are drawn.
    """
    chances: FloatArray = np.exp(-_FADES / top * np.arange(min(top, count)))
    chances *= share / chances.sum()
    chances[0] += 1 - share
    return chances


def explore(ranking: Recommender, share: float, top: int = _TOP) -> Recommender:
    """Make the recommender that takes a ranking's best track, or explores with probability `share`.

    The propensity counts both ways to a track; see `rank_chances`.
    """

    def draw(model: ServedModel, query: Query, rng: Generator) -> Drawn:
        ranked = ranking.draw(model, replace(query, count=max(query.count, top)), rng)
        if ranked.track == NO_TRACK:
            return ranked
        tracks = [ranked.track, *ranked.following]
        chances = rank_chances(len(tracks), share, top)
        drawn = int(rng.choice(len(chances), p=chances))
        track = tracks.pop(drawn)
        following = tuple(tracks[: query.count - 1])
        return Drawn(track, float(chances[drawn]), following=following)

    return replace(ranking, draw=draw, ranks=False)
