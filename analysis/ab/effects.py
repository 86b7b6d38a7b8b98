"""Effects of every metric and arm: the interval for one look and the one that decides.

A number that does not exist is NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

from analysis.ab.config import AbConfig, Role
from analysis.ab.looks import Look
from analysis.ab.metrics import Metric
from analysis.statistics import effects
from analysis.statistics.effects import Effect, Interval
from analysis.statistics.moments import Quantity
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from analysis.statistics.quantiles import compare_quantiles

GuardrailState = Literal["kept", "unclear", "broken"]


@dataclass(frozen=True)
class Measured:
    """What effects are estimated from: `Moments`, or the `Histogram` of a quantile."""

    # by the metric's name, then by arm
    values: Mapping[str, Mapping[str, Any]]
    # The largest skewness of an arm's listeners, by primary metric; none where it is unknown
    skewness: Mapping[str, float] = field(default_factory=dict)

    @property
    def listeners(self) -> dict[str, int]:
        """Listeners with a value of any metric by arm."""
        counts: dict[str, int] = {}
        for by_arm in self.values.values():
            for arm, values in by_arm.items():
                counts[arm] = max(values.count, counts.get(arm, 0))
        return counts


# standard errors from 0 that a control's value must have for an effect in % of it
_SURELY_NOT_ZERO = 3.0
_MOST_PCT = 10_000.0  # a change by more is no effect on what the control does


@dataclass(frozen=True)
class RelativeEffect:
    """An effect in % of the control's value, with an interval and a p-value where there is one."""

    effect_pct: float
    lower_pct: float
    upper_pct: float
    p_value: float


@dataclass(frozen=True)
class MetricEffect:
    """An arm's effect on a metric.

    Of primary metrics and guardrails intervals and p-value are those that decide, by the rule of
    looking; of the others those for one look.
    """

    arm: str  # the arm that is compared with the other
    metric: str  # the metric's name
    label: str  # its name for people
    role: Role  # its role in the configuration
    higher_is_better: bool  # whether more of it is better
    control_value: float  # the metric of the control
    arm_value: float  # the metric of the arm
    effect: float  # absolute difference
    lower: float  # lower end of its interval
    upper: float  # upper end
    # the effect in % of the control's value, the control's own noise included, and the p-value of
    # no difference
    relative: RelativeEffect
    # of primary metrics by Holm over them and the arms; else Benjamini and Hochberg over the rest
    adjusted_p_value: float = math.nan
    significant: bool = False  # whether the adjusted p-value is below alpha
    # Share of the variance that listeners' past explains, which is taken out (CUPED) where that was
    # declared; NaN without a past
    past_explains: float = math.nan
    unit: str = ""  # of its values
    phrase: str = ""  # how a change of it is said
    # how much worse a guardrail may get, in the metric's unit; None for the others
    margin: float | None = None
    # the same in % of the control's value; one of the two is given
    margin_pct: float | None = None
    # whether it is kept to; None for the others
    guardrail: GuardrailState | None = None

    @property
    def title(self) -> str:
        """Its name for people, with the unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def gain(self, change: float) -> float:
        """Return a change of the metric so that more is better."""
        return change if self.higher_is_better else -change

    @property
    def allowed_loss(self) -> float:
        """How much worse a guardrail may get, in the unit of its margin."""
        return (self.margin_pct or 0.0) if self.margin is None else self.margin

    @property
    def loss(self) -> Interval:
        """How much worse a guardrail is, in the unit of its margin."""
        change = Interval(self.effect, self.lower, self.upper)
        relative = self.relative
        if self.margin is None:
            ends = relative.lower_pct, relative.upper_pct
            change = Interval(relative.effect_pct, *ends)
        return change.scaled(-1 if self.higher_is_better else 1)


def metric_effects(measured: Measured, look: Look) -> tuple[MetricEffect, ...]:
    """Estimate the effects on all metrics that were measured, primary ones first, then by arm."""
    config = look.config
    control = look.config.control
    found = []
    for metric in config.reported:
        by_arm = measured.values.get(metric.name, {})
        for arm, values in by_arm.items():
            if arm != control:
                effect, explained = _compare(metric, by_arm[control], values, config)
                found.append(_describe(metric, arm, effect, explained, look))
    # A metric without a value in an arm, such as a ratio to 0, has no effect.
    known = [row for row in found if not math.isnan(row.effect)]
    primary = [row for row in known if row.role == "primary"]
    others = [row for row in known if row.role != "primary"]
    p_values = holm([row.relative.p_value for row in primary])
    p_values += benjamini_hochberg([row.relative.p_value for row in others])
    return tuple(
        replace(row, adjusted_p_value=p, significant=p < config.alpha)
        for row, p in zip(primary + others, p_values, strict=True)
    )


def surely_better(measured: Measured, look: Look) -> list[tuple[str, str]]:
    """Return the pairs of arms of which the first is better than the second, but for the control.

    They are compared on the first primary metric by the rule of looking, by Holm over all pairs.
    """
    metric = look.config.deciding[0]
    by_arm = dict(measured.values[metric.name])
    del by_arm[look.config.control]
    pairs = list(combinations(by_arm, 2))
    found = [
        look.widen(_compare(metric, by_arm[one], by_arm[other], look.config)[0])
        for one, other in pairs
    ]
    better = []
    p_values = holm([effect.p_value for effect in found])
    for (one, other), effect, p_value in zip(pairs, found, p_values, strict=True):
        if p_value < look.config.alpha:
            is_more = effect.absolute.value > 0
            is_other = is_more == metric.is_higher
            better.append((other, one) if is_other else (one, other))
    return better


def _compare(
    metric: Metric,
    control: Any,  # noqa: ANN401  as in `Measured`
    arm: Any,  # noqa: ANN401
    config: AbConfig,
) -> tuple[Effect, float]:
    """Return the effect and how much the past explains; CUPED takes that out where declared."""
    confidence = 1 - config.alpha
    if metric.quantile is not None:
        return compare_quantiles(control, arm, metric.quantile, confidence), math.nan
    plain = effects.compare_moments(control, arm, metric.quantity, confidence)
    past = metric.past
    if past is None:
        return plain, math.nan
    if not (control + arm).mean(Quantity(past.denominator or past.numerator)):
        return plain, math.nan
    before, after, kept = effects.adjust(control, arm, metric.quantity, past)
    if not config.cuped:
        return plain, 1 - kept
    return effects.compare(before, after, confidence), 1 - kept


def _describe(
    metric: Metric,
    arm: str,
    effect: Effect,
    past_explains: float,
    look: Look,
) -> MetricEffect:
    """Return the effect before any adjustment for many comparisons."""
    role = look.config.roles[metric.name]
    guardrail = look.config.limits.get(metric.name)
    if role in {"primary", "guardrail"}:
        effect = look.widen(effect)
    found = MetricEffect(
        arm=arm,
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        phrase=metric.phrase,
        role=role,
        higher_is_better=metric.is_higher,
        control_value=effect.control.value,
        arm_value=effect.arm.value,
        effect=effect.absolute.value,
        lower=effect.absolute.lower,
        upper=effect.absolute.upper,
        relative=relative_effect(effect),
        past_explains=past_explains,
    )
    if guardrail is None:
        return found
    found = replace(found, margin=guardrail.margin, margin_pct=guardrail.margin_pct)
    return replace(found, guardrail=_state(found))


def relative_effect(effect: Effect) -> RelativeEffect:
    """Return the effect in %, or the p-value alone where the control's value may be 0."""
    control = effect.control
    relative = effect.relative.scaled(100)
    may_be_zero = control.value**2 < _SURELY_NOT_ZERO**2 * control.squared_error
    if may_be_zero or relative.value > _MOST_PCT:
        relative = effects.NO_INTERVAL
    return RelativeEffect(
        relative.value, relative.lower, relative.upper, effect.p_value
    )


def _state(effect: MetricEffect) -> GuardrailState:
    """Return "kept" if the interval is within the margin, "broken" if it is beyond."""
    if effect.loss.lower > effect.allowed_loss:
        return "broken"
    return "kept" if effect.loss.upper <= effect.allowed_loss else "unclear"
