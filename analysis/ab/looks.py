"""What a look at an experiment may conclude: by its declared horizon, or at any time."""

from dataclasses import dataclass

from scipy import special

from analysis.ab.config import AbConfig
from analysis.statistics import horizon, sequential
from analysis.statistics.effects import Effect


@dataclass(frozen=True)
class Look:
    """A look at an experiment."""

    config: AbConfig
    progress: float = 0.0  # the share of the declared horizon that is reached

    @property
    def at_horizon(self) -> bool:
        """Whether the declared horizon is reached, so that this look is the last."""
        return self.config.horizon is not None and self.progress >= 1

    def widen(self, effect: Effect, listeners: float | None = None) -> Effect:
        """Return an effect with the interval and the p-value that decide.

        `listeners` are those so far, where they are not those of the two arms.
        """
        if not effect.standard_error > 0:
            return effect
        config = self.config
        listeners = listeners or effect.listeners
        single = -float(special.ndtri(config.alpha / 2))
        factor = self.errors(config.alpha, listeners) / single
        # as many as are as rare by chance as the effect is at a single look
        errors = -float(special.ndtri(effect.p_value / 2))
        if config.horizon:
            p_value = horizon.p_value_at(errors, self.progress, config.horizon.looks)
        else:
            p_value = sequential.p_value_at(
                errors, listeners, config.smallest_experiment, config.alpha
            )
        return effect.widened(factor, p_value)

    def errors(self, level: float, listeners: float) -> float:
        """Return the standard errors that an effect must reach to be significant at a level.

        `listeners` are those of two arms so far.
        """
        config = self.config
        if config.horizon:
            return horizon.bound(self.progress, config.horizon.looks, level)
        return sequential.widening(
            listeners, config.smallest_experiment, level, config.alpha
        )
