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

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the horizon at the looks so far."""
        planned = self.config.horizon
        return horizon.looks_so_far(self.progress, planned.looks) if planned else ()

    def widen(self, effect: Effect, listeners: float | None = None) -> Effect:
        """Return an effect with the interval and the p-value that decide.

        `listeners` are those so far, where they are not those of the two arms.
        """
        confidence = 1 - self.config.alpha
        if self.config.horizon:
            return horizon.at_look(effect, self.shares, confidence)
        planned = self.config.planned_listeners
        return sequential.at_any_time(effect, planned, confidence, listeners)

    def errors(self, level: float, listeners: float) -> float:
        """Return the standard errors that an effect must reach to be significant at a level.

        `listeners` are those of two arms so far.
        """
        if self.config.horizon:
            return horizon.bound(self.shares, level)
        planned, confidence = self.config.planned_listeners, 1 - self.config.alpha
        return sequential.widening(listeners, planned, confidence, level)
