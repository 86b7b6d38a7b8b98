"""How often an experiment with a true effect ends in "ship", by simulating what it estimates.

Estimates of large arms are sums of independent normal steps from look to look, which are correlated
over metrics as listeners' values are, and over arms by their control. On them the rules of the
verdict are applied: Holm over arms and primary metrics, guardrails at their margins, at every look.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.errors import AnalysisError
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

_RUNS = 4_000
_MOST = 1e12  # listeners

# The standard errors to reach at a share of the experiment, with so many listeners in two arms, at
# a level
Errors = Callable[[float, float, float], float]


@dataclass(frozen=True, eq=False)
class Decision:
    """An experiment whose first arm may have an effect on the first metric, and no other any."""

    deviations: FloatArray  # of a listener's share in each metric, in means of it
    correlations: FloatArray  # of these shares, shape (metrics, metrics)
    deciding: int  # as many metrics decide; the others are guardrails
    margins: FloatArray  # of each guardrail, as the logarithm of a ratio, above 0
    weights: FloatArray  # the share of the listeners in each arm, the control first
    alpha: float
    looks: int  # at equal distances, the last at the end
    errors: Errors
    least: int  # listeners that every arm needs before anything is decided

    def power(self, effect: float, listeners: float) -> float:
        """Return the chance that a relative effect is shipped at any look.

        `listeners` are those of all arms at the last one.
        """
        noise = self._noise()
        shipped = np.zeros(len(noise), np.bool_)
        for look in range(1, self.looks + 1):
            so_far = listeners * look / self.looks
            if self.weights.min() * so_far >= self.least:
                shipped |= self._ships(noise[:, look - 1], effect, look, so_far)
        return float(shipped.mean())

    def needed(self, effect: float, power: float) -> float:
        """Return the listeners in all arms of which the effect is shipped with this chance.

        Raises:
            AnalysisError: No number of listeners would do.
        """
        fewest = 2.0 * len(self.weights)
        found = _least(
            lambda listeners: self.power(effect, listeners), power, fewest, _MOST
        )
        if found == math.inf:
            raise AnalysisError(
                f"power: no number of listeners finds an effect of {100 * effect:.3g} %"
            )
        return found

    def detectable(self, listeners: float, power: float) -> float:
        """Return the smallest relative effect with this power; infinite where none has it."""
        return _least(lambda effect: self.power(effect, listeners), power, 1e-5, 2.0)

    def _ships(
        self, noise: FloatArray, effect: float, look: int, listeners: float
    ) -> BoolArray:
        """Return in which runs the arm wins at a look."""
        # the arm's deviation grows with its mean
        scale = np.sqrt((1 + effect) ** 2 / self.weights[1] + 1 / self.weights[0])
        precision = math.sqrt(listeners) / (self.deviations * scale)
        errors = noise.copy()
        errors[:, 0, 0] += abs(effect) * precision[0]
        in_two = listeners * float(self.weights[:2].sum())
        primary = errors[:, :, : self.deciding].reshape(len(errors), -1)
        rejected = self._holm(np.abs(primary), look, in_two)
        own = slice(0, self.deciding)  # of the first arm
        better = rejected[:, own] & (primary[:, own] > 0)
        worse = rejected[:, own] & (primary[:, own] < 0)
        kept = errors[:, 0, self.deciding :] + self.margins * precision[self.deciding :]
        is_kept = kept >= self.errors(look / self.looks, in_two, self.alpha)
        return np.asarray(better.any(1) & ~worse.any(1) & is_kept.all(1))

    def _holm(self, sizes: FloatArray, look: int, in_two: float) -> BoolArray:
        """Return which comparisons, in standard errors, Holm's procedure rejects."""
        count = sizes.shape[1]
        if count == 1:
            return np.asarray(
                sizes >= self.errors(look / self.looks, in_two, self.alpha)
            )
        order = np.argsort(-sizes, axis=1)
        levels = [self.alpha / (count - step) for step in range(count)]
        limits = [self.errors(look / self.looks, in_two, level) for level in levels]
        passed = np.take_along_axis(sizes, order, 1) >= limits
        passed = np.logical_and.accumulate(passed, axis=1)
        rejected = np.empty_like(passed)
        np.put_along_axis(rejected, order, passed, 1)
        return rejected

    def _noise(self) -> FloatArray:
        """Return differences from the control without an effect, in standard errors.

        Returns:
            Shape (runs, looks, arms, metrics).
        """
        metrics = len(self.deviations)
        paths = _paths(self.looks, tuple(self.weights.tolist()), metrics)
        # with a trace of independence, so that equal metrics have a root too
        root = np.linalg.cholesky(self.correlations + 1e-9 * np.eye(metrics))
        return np.asarray(paths @ root.T)


@lru_cache(maxsize=1)
def _paths(looks: int, weights: tuple[float, ...], metrics: int) -> FloatArray:
    """Draw what `_noise` is made of, for metrics that do not depend on each other."""
    shape = _RUNS, looks, len(weights), metrics
    steps = make_generator(0, "power").standard_normal(shape)
    counts = np.arange(1, looks + 1)[:, np.newaxis, np.newaxis]
    squares = 1 / np.array(weights)[:, np.newaxis]
    arms = steps.cumsum(axis=1) / np.sqrt(counts) * np.sqrt(squares)
    differences = arms[:, :, 1:] - arms[:, :, :1]
    return np.asarray(differences / np.sqrt(squares[1:] + squares[0]))


def _least(
    power: Callable[[float], float], wanted: float, low: float, most: float
) -> float:
    """Return the least value with the wanted power, which rises; infinite beyond the most."""
    high = low
    while power(high) < wanted:
        low, high = high, 2 * high
        if high > most:
            return math.inf
    while high - low > 0.002 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= wanted else (middle, high)
    return high
