"""What an interim analysis may conclude: always valid, or on the way to a fixed horizon."""

from dataclasses import dataclass

from scipy import special

from analysis.ab.config import AbConfig
from analysis.statistics import always_valid, fixed_horizon
from analysis.statistics.effects import Effect


@dataclass(frozen=True)
class InterimAnalysis:
    """An analysis of an experiment that may go on after it."""

    config: AbConfig
    progress: float = 0.0  # the share of the fixed horizon that is reached

    @property
    def is_final(self) -> bool:
        """Whether the fixed horizon is reached, so that this analysis is the last."""
        return self.config.fixed_horizon is not None and self.progress >= 1

    def widen(self, effect: Effect, listeners: float | None = None) -> Effect:
        """Replace an effect's interval and p-value by those that decide.

        Args:
            effect: Valid for a single analysis.
            listeners: Those so far, where they are not those of the two arms.
        """
        if not effect.standard_error > 0:
            return effect
        config = self.config
        listeners = listeners or effect.listeners
        single = -float(special.ndtri(config.alpha / 2))
        factor = self.errors(config.alpha, listeners) / single
        # as many as are as rare by chance as the effect is at a single analysis
        errors = -float(special.ndtri(effect.p_value / 2))
        if config.fixed_horizon:
            analyses = config.fixed_horizon.interim_analyses
            p_value = fixed_horizon.p_value_at(errors, self.progress, analyses)
        else:
            p_value = always_valid.p_value_at(
                errors, listeners, config.smallest_experiment, config.alpha
            )
        return effect.widened(factor, p_value)

    def errors(self, level: float, listeners: float) -> float:
        """Compute the standard errors that an effect must reach to be significant at a level.

        Args:
            level: Two-sided error rate.
            listeners: Of the two arms so far.
        """
        config = self.config
        if config.fixed_horizon:
            analyses = config.fixed_horizon.interim_analyses
            return fixed_horizon.bound(self.progress, analyses, level)
        return always_valid.widening(
            listeners, config.smallest_experiment, level, config.alpha
        )
