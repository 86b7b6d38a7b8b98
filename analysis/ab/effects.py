"""Effects of every arm on every metric, in the experiment and by day.

A number that does not exist is NaN.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.ab.config import AbConfig, Role
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import Metric
from analysis.ab.moments import NOVELTY, PAST, RATIO, UNTIL, MetricMoments, by_metric
from analysis.statistics import effects
from analysis.statistics.effects import Effect, Interval
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from analysis.statistics.quantiles import compare_quantiles

GuardrailState = Literal["kept", "unclear", "broken"]
# `Moments`, or the `Histogram` of a quantile, by metric and arm
Measurements = Mapping[str, Mapping[str, Any]]
# An effect in % needs a control's value this number of standard errors from 0.
_SURELY_NOT_ZERO = 3.0
_MOST_PCT = 10_000.0  # a larger change says nothing about the control's value


@dataclass(frozen=True)
class Novelty:
    """An arm's effect on a metric in two parts of the first days of the same listeners."""

    arm: str
    metric: str
    first: float  # effect in the first days, in % of the control's value
    later: float  # effect in an equal number of later days
    p_value: float  # p-value of no change between them, valid as decisions are


@dataclass(frozen=True)
class MetricEffect:
    """An arm's effect on a metric, in the experiment or by the end of a day.

    For primary metrics and guardrails, intervals and p-value follow the rule of the interim
    analysis; for secondary metrics they hold for a single analysis.
    """

    arm: str  # the arm that is compared with the control
    metric: str  # the metric's name
    label: str  # its name for people
    role: Role  # its role in the configuration
    higher_is_better: bool  # whether more of it is better
    control_value: float  # the metric of the control
    arm_value: float  # the metric of the arm
    absolute: Interval  # the difference
    # the difference in % of the control's value, the control's own noise included
    relative: Interval
    p_value: float  # p-value of no difference
    # adjusted by Holm over primary metrics and arms, by Benjamini and Hochberg over the rest
    adjusted_p_value: float = math.nan
    significant: bool = False  # whether the adjusted p-value is below alpha
    # Share of the variance that listeners' past explains, which CUPED takes out; NaN without a past
    past_explains: float = math.nan
    unit: str = ""  # unit of the values
    phrase: str = ""  # words for a change, as in `Metric`
    # how much worse a guardrail may get, in the metric's unit
    margin: float | None = None
    # the same in % of the control's value; a guardrail has either
    margin_pct: float | None = None
    # whether the margin is kept; None unless it is a guardrail
    guardrail: GuardrailState | None = None
    day: str = ""  # its date, or a table's time

    @property
    def title(self) -> str:
        """Its name for people, with the unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def sign(self) -> int:
        """1 if more of the metric is better, else -1."""
        return 1 if self.higher_is_better else -1

    @property
    def gain(self) -> Interval:
        """How much better it is, in % of the control's value."""
        return self.relative.scaled(self.sign)

    @property
    def loss(self) -> Interval:
        """How much worse a guardrail is, in the unit of its margin."""
        change = self.relative if self.margin is None else self.absolute
        return change.scaled(-self.sign)

    @property
    def allowed_loss(self) -> float:
        """How much worse a guardrail may get, in the unit of its margin."""
        return (self.margin_pct or 0.0) if self.margin is None else self.margin


def metric_effects(
    measurements: Measurements, analysis: InterimAnalysis
) -> tuple[MetricEffect, ...]:
    """Estimate the effects on all measured metrics, primary metrics first, then by arm."""
    config = analysis.config
    rows = []
    for metric in config.reported:
        by_arm = dict(measurements.get(metric.name, {}))
        control = by_arm.pop(config.control, None)
        for arm, values in by_arm.items():
            rows.append(_describe(metric, arm, control, values, analysis))
    # A metric without a value in an arm, such as a ratio to 0, has no effect.
    rows = [row for row in rows if not math.isnan(row.absolute.value)]
    primary = [row for row in rows if row.role == "primary"]
    rest = [row for row in rows if row.role != "primary"]
    p_values = holm([row.p_value for row in primary])
    p_values += benjamini_hochberg([row.p_value for row in rest])
    return tuple(
        replace(row, adjusted_p_value=p, significant=p < config.alpha)
        for row, p in zip(primary + rest, p_values, strict=True)
    )


def compare(
    metric: Metric,
    control: Any,  # noqa: ANN401  as in `Measurements`
    arm: Any,  # noqa: ANN401
    config: AbConfig,
) -> tuple[Effect, float]:
    """Compare a metric of two arms, adjusted for the listeners' past if configured (CUPED).

    Returns:
        The effect, and the share of the variance that the past explains; NaN without a past.
    """
    confidence = 1 - config.alpha
    if metric.quantile is not None:
        return compare_quantiles(control, arm, metric.quantile, confidence), math.nan
    effect = effects.compare_moments(control, arm, RATIO, confidence)
    _, _, *past = (control + arm).means.tolist()
    # Without a past, the sums of a mean are 0, or else the denominators.
    if not past or not past[0 if metric.kind == "mean" else 1]:
        return effect, math.nan
    before, after, unexplained = effects.adjust(control, arm, RATIO, PAST)
    if config.cuped:
        effect = effects.compare(before, after, confidence)
    return effect, 1 - unexplained


def relative_effect(effect: Effect) -> Interval:
    """Express an effect in %; NaN if the control's value may be 0."""
    control = effect.control
    # The change of a negative mean is in % of its size.
    relative = effect.relative.scaled(math.copysign(100, control.value))
    may_be_zero = control.value**2 < _SURELY_NOT_ZERO**2 * control.squared_error
    if may_be_zero or abs(relative.value) > _MOST_PCT:
        return effects.NO_INTERVAL
    return relative


def _describe(
    metric: Metric,
    arm: str,
    control_values: Any,  # noqa: ANN401  as in `Measurements`
    arm_values: Any,  # noqa: ANN401
    analysis: InterimAnalysis,
) -> MetricEffect:
    """Describe an effect before any adjustment for many comparisons."""
    config = analysis.config
    role = config.roles[metric.name]
    limit = config.limits.get(metric.name)
    effect, past_explains = compare(metric, control_values, arm_values, config)
    if role != "secondary":
        effect = analysis.widen(effect)
    described = MetricEffect(
        arm=arm,
        metric=metric.name,
        label=metric.display_name,
        unit=metric.unit,
        phrase=metric.phrase,
        role=role,
        higher_is_better=metric.is_higher,
        control_value=effect.control.value,
        arm_value=effect.arm.value,
        absolute=effect.absolute,
        relative=relative_effect(effect),
        p_value=effect.p_value,
        past_explains=past_explains,
        margin=limit.margin if limit else None,
        margin_pct=limit.margin_pct if limit else None,
    )
    if limit is None:
        return described
    # A metric that is the same for all listeners, as sessions on the first day, has not moved yet.
    is_still = effect.standard_error == 0 and effect.control.value != 0
    has_moved = metric.quantile is not None or not is_still
    state: GuardrailState = "unclear"
    if has_moved and described.loss.lower > described.allowed_loss:
        state = "broken"
    elif has_moved and described.loss.upper <= described.allowed_loss:
        state = "kept"
    return replace(described, guardrail=state)


def daily_effects(
    rows: Sequence[MetricMoments], arms: Sequence[str], config: AbConfig
) -> tuple[MetricEffect, ...]:
    """Estimate the effects on primary metrics by the end of each day, as decided then.

    Days on which an arm has no listener are left out.
    """
    by_day: dict[str, list[MetricMoments]] = {}
    for row in rows:
        if row.segment.startswith(UNTIL) and row.metric in config.primary:
            by_day.setdefault(row.segment, []).append(row)
    effects: list[MetricEffect] = []
    for segment, daily in by_day.items():
        sizes = {row.arm: row.listeners for row in daily}
        if all(map(sizes.get, arms)):
            analysis = InterimAnalysis.at(config, sizes.values())
            measurements = by_metric(daily, arms, segment)
            day = segment.removeprefix(UNTIL)
            for effect in metric_effects(measurements, analysis):
                effects.append(replace(effect, day=day))
    return tuple(effects)


def find_novelty(
    rows: Iterable[MetricMoments], arms: Sequence[str], analysis: InterimAnalysis
) -> tuple[Novelty, ...]:
    """Compare how a metric changes from listeners' first days to later days, in arm and control.

    Args:
        rows: Moments, in the segment `NOVELTY` of later days with first days as the past.
        arms: Names of the arms, the control first.
        analysis: The rule that decides.
    """
    changes = []
    by_name = by_metric(rows, arms, NOVELTY)
    for metric in analysis.config.primary:
        by_arm = by_name.get(metric, {})
        before = by_arm.pop(analysis.config.control, None)
        if before is None:
            continue
        change, square = before.log_ratio(PAST, RATIO)
        for arm, after in by_arm.items():
            arm_change, arm_square = after.log_ratio(PAST, RATIO)
            error = math.sqrt(square + arm_square)
            if error > 0:
                errors = abs(arm_change - change) / error
                p_value = analysis.p_value(errors, before.count + after.count)
                first, later = (
                    relative_effect(effects.compare_moments(before, after, quantity))
                    for quantity in (PAST, RATIO)
                )
                row = Novelty(arm, metric, first.value, later.value, p_value)
                changes.append(row)
    return tuple(changes)
