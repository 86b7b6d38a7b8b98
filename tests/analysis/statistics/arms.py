"""Listeners of two arms for the tests, and the same numbers as tea-tasting takes them."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from tea_tasting.aggr import Aggregates

from analysis.statistics.moments import Moments
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

Columns: TypeAlias = Mapping[str, FloatArray]

TIME, SESSIONS, TIME_BEFORE, SESSIONS_BEFORE = (
    "time",
    "sessions",
    "time_before",
    "sessions_before",
)


def draw_arm(
    generator: np.random.Generator, listeners: int, lift: float = 1.0
) -> dict[str, FloatArray]:
    """Skewed listening by the listener's own taste, seen before the experiment as well."""
    taste = generator.gamma(2.0, 1.0, size=listeners)
    sessions, before = (
        1 + generator.poisson(3 * taste).astype(np.float64) for _ in range(2)
    )
    time = generator.gamma(2.0 * sessions) * lift
    return {
        TIME: time,
        SESSIONS: sessions,
        TIME_BEFORE: generator.gamma(2.0 * before),
        SESSIONS_BEFORE: before,
    }


def draw_arms(
    seed: int, control: int, arm: int, lift: float = 1.0
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    generator = make_generator(seed, "test arms")
    return draw_arm(generator, control), draw_arm(generator, arm, lift)


def as_aggregates(moments: Moments) -> Aggregates:
    names, covariances = moments.names, moments.covariances
    return Aggregates(
        count_=moments.count,
        mean_={name: float(moments.means[i]) for i, name in enumerate(names)},
        var_={name: float(covariances[i, i]) for i, name in enumerate(names)},
        cov_={
            (a, b): float(covariances[i, j])
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i < j
        },
    )
