"""What a look at an experiment may conclude: by its declared horizon, or at any time."""

from dataclasses import dataclass

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
        confidence, planned = 1 - self.config.alpha, self.config.horizon
        if planned:
            return horizon.at_look(effect, self.progress, planned.looks, confidence)
        return sequential.at_any_time(
            effect, self.config.planned_listeners, confidence, listeners
        )

    def errors(self, level: float, listeners: float) -> float:
        """Return the standard errors that an effect must reach to be significant at a level.

        `listeners` are those of two arms so far.
        """
        if self.config.horizon:
            return horizon.bound(self.progress, self.config.horizon.looks, level)
        planned, confidence = self.config.planned_listeners, 1 - self.config.alpha
        return sequential.widening(listeners, planned, confidence, level)
