"""Decide at an interim analysis: always valid, or on the way to a fixed horizon.

Without a fixed horizon a quarter of the error rate goes to a group-sequential test that ends at the
expected size, and the rest to an always-valid test that is narrow there and goes on. Two tests that
share a level hold together (Bonferroni).
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from scipy import special

from analysis.ab.config import AbConfig, FixedHorizon
from analysis.statistics import always_valid, fixed_horizon
from analysis.statistics.effects import Effect

_SHARE = 0.25  # share of the error rate for the test that ends at the expected size


@dataclass(frozen=True)
class InterimAnalysis:
    """An analysis of an experiment that may go on after it."""

    config: AbConfig
    # the share of the fixed horizon that is reached, else of the expected listeners
    progress: float = 0.0
    arms: int = 2  # number of arms with the control

    @classmethod
    def at(cls, config: AbConfig, sizes: Collection[int]) -> Self:
        """Analyse an experiment with the listeners of each arm."""
        planned = config.horizon or config.expected_listeners or math.inf
        return cls(config, sum(sizes) / planned, len(sizes))

    @property
    def is_final(self) -> bool:
        """Whether the fixed horizon is reached, so that this analysis is the last."""
        return self.config.fixed_horizon is not None and self.progress >= 1

    @property
    def comparisons(self) -> int:
        """Number of effects on primary metrics, whose intervals hold together."""
        return len(self.config.deciding) * (self.arms - 1)

    def widen(self, effect: Effect, comparisons: int = 1) -> Effect:
        """Replace an interval and p-value of a single analysis by values that always hold.

        Args:
            effect: The effect by a single analysis.
            comparisons: Number of effects whose intervals are to hold together (Bonferroni). The
                p-value belongs to this effect alone.
        """
        if not effect.standard_error > 0:
            return effect
        alpha = self.config.alpha
        single = -float(special.ndtri(alpha / 2))
        errors = self.errors(alpha / comparisons, effect.listeners)
        factor = effect.caution * errors / single
        # the normal quantile of the p-value of a single analysis
        errors = -float(special.ndtri(effect.p_value / 2)) / effect.caution
        return effect.widened(factor, self.p_value(errors, effect.listeners))

    def errors(self, level: float, listeners: float) -> float:
        """Compute the standard errors that an effect must reach to be significant at a level.

        Args:
            level: Two-sided error rate.
            listeners: Listeners of the two arms so far.
        """
        (share, analyses), errors = self._ending, math.inf
        if share < 1:
            rest, alpha = (1 - share) * level, self.config.alpha
            errors = always_valid.widening(listeners, self._planned, rest, alpha)
        if analyses:
            bound = fixed_horizon.bound(self.progress, analyses, share * level)
            errors = min(errors, bound)
        return errors

    def p_value(self, errors: float, listeners: float) -> float:
        """Compute the level at which a number of standard errors would just be significant."""
        (share, analyses), p_value = self._ending, 1.0
        if share < 1:
            alpha = self.config.alpha
            always = always_valid.p_value_at(errors, listeners, self._planned, alpha)
            p_value = min(p_value, always / (1 - share))
        if analyses:
            ending = fixed_horizon.p_value_at(errors, self.progress, analyses)
            p_value = min(p_value, ending / share)
        return p_value

    @property
    def _ending(self) -> tuple[float, int]:
        """The test that ends: its share of the error rate, and its analyses, 0 after its end."""
        if self.config.fixed_horizon:
            return 1.0, self.config.fixed_horizon.interim_analyses
        if not self.config.expected_listeners:
            return 0.0, 0
        default = FixedHorizon(listeners=1).interim_analyses
        return _SHARE, default if self.progress <= 1 else 0

    @property
    def _planned(self) -> tuple[float, ...]:
        """Listeners of two arms with which always-valid intervals are narrow."""
        expected = self.config.expected_listeners
        return (2 * expected / self.arms,) if expected else always_valid.ANY_SIZE
