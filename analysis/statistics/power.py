"""How often an experiment with a true effect ends in "ship", by simulating what it estimates.

Estimates of large arms are sums of independent normal steps from analysis to analysis, correlated
over metrics as listeners' values are. An arm ships at the first at which it is significantly better
at the level that all comparisons leave (the first step of Holm's procedure), and every guardrail is
surely within its margin.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.errors import AnalysisError
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

_RUNS = 10_000
_MOST = 1e12  # listeners

# The standard errors to reach at a share of the experiment, at a level
Errors = Callable[[float, float], float]


@dataclass(frozen=True, eq=False)
class Decision:
    """An experiment whose first arm may have an effect on the first metric, and no other any."""

    # of a listener's share in the first metric and in each guardrail, in means of it
    deviations: FloatArray
    correlations: FloatArray  # of these shares, shape (metrics, metrics)
    margins: FloatArray  # of each guardrail, as the logarithm of a ratio, above 0
    comparisons: int  # of arms and primary metrics with the control
    weights: FloatArray  # the share of the listeners in each arm, the control first
    alpha: float
    errors: Errors
    least: int  # listeners that every arm needs before anything is decided
    confirms: bool  # whether the next analysis must say the same

    def power(self, effect: float, listeners: float, analyses: int) -> float:
        """Simulate the chance that a relative effect is shipped at any interim analysis.

        Args:
            effect: As a share of the mean.
            listeners: Of all arms at the last analysis.
            analyses: How many there are, at equal distances.
        """
        shares = np.arange(1, analyses + 1) / analyses
        so_far = listeners * shares
        control, arm = 1 / self.weights[:2]
        # every listener hears so many times as much, so that the deviation grows with the mean
        scale = math.sqrt(control + arm * (1 + effect) ** 2)
        # of each analysis and metric: what is true, in standard errors, and what is to be reached
        precision = np.sqrt(so_far)[:, np.newaxis] / (self.deviations * scale)
        true = np.concatenate([[abs(effect)], self.margins]) * precision
        levels = [self.alpha / self.comparisons] + [self.alpha] * len(self.margins)
        limits = [
            [self.errors(share, level) for level in levels] for share in shares.tolist()
        ]
        reached = (self._noise(analyses) + true >= np.array(limits)).all(axis=2)
        is_ready = self.weights.min() * so_far >= self.least
        reached &= is_ready
        if self.confirms and analyses > 1:
            reached = reached[:, 1:] & reached[:, :-1]
        return float(reached.any(axis=1).mean())

    def needed(self, effect: float, power: float, analyses: int) -> float:
        """Search for the listeners in all arms with which an effect is shipped with a chance.

        Raises:
            AnalysisError: No number of listeners would do.
        """
        low = high = 2.0 * len(self.weights)
        while self.power(effect, high, analyses) < power:
            low = high
            high = 2 * high
            if high > _MOST:
                raise AnalysisError(
                    f"power: no number of listeners finds an effect of {100 * effect:.3g} %"
                )
        return _bisect(
            low, high, lambda middle: self.power(effect, middle, analyses) >= power
        )

    def detected(self, listeners: float, power: float, analyses: int) -> float:
        """Search for the smallest relative effect that so many listeners find with a chance.

        Returns:
            The effect; 1 where they find none below it.
        """
        return _bisect(
            0.0, 1.0, lambda middle: self.power(middle, listeners, analyses) >= power
        )

    def _noise(self, analyses: int) -> FloatArray:
        """Simulate differences without an effect, in standard errors.

        Returns:
            Shape (runs, analyses, metrics).
        """
        metrics = len(self.deviations)
        # with a trace of independence, so that equal metrics have a root too
        root = np.linalg.cholesky(self.correlations + 1e-9 * np.eye(metrics))
        return np.asarray(_paths(analyses, metrics) @ root.T)


def _bisect(low: float, high: float, is_enough: Callable[[float], bool]) -> float:
    """Search for the least value that is enough, as the highest is."""
    while high - low > 0.002 * high:
        middle = (low + high) / 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=1)
def _paths(analyses: int, metrics: int) -> FloatArray:
    """Draw what `_noise` is made of, for metrics that do not depend on each other."""
    steps = make_generator(0, "power").standard_normal((_RUNS, analyses, metrics))
    return steps.cumsum(axis=1) / np.sqrt(np.arange(1, analyses + 1))[:, np.newaxis]
