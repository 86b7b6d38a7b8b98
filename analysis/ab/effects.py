"""Effects of every arm on every metric, in the experiment and by day.

A number that does not exist is NaN.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.ab.config import AbConfig, Role
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import Metric
from analysis.ab.moments import (
    INTERLEAVED,
    NOVELTY,
    PAST,
    RATIO,
    WINSORISED,
    MetricMoments,
    by_metric,
)
from analysis.statistics import effects
from analysis.statistics.effects import NO_INTERVAL, Effect, Interval
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg
from analysis.statistics.quantiles import compare_quantiles
from looplib.experiments import members

# A guardrail is not yet known while all listeners have the same value.
GuardrailState = Literal["kept", "unclear", "broken", "not yet known"]
# `Moments`, or the `Histogram` of a quantile, by metric and arm
Measurements = Mapping[str, Mapping[str, Any]]
# An effect in % needs a control's value this number of standard errors from 0.
_SURELY_NOT_ZERO = 3.0
_MOST_PCT = 10_000.0  # a larger change says nothing about the control's value
_NUMERATOR = Quantity(RATIO.numerator)


@dataclass(frozen=True)
class Novelty:
    """An arm's effect on a metric early and late, in % of the control's value."""

    arm: str
    metric: str
    clock: str  # the days that are counted: a listener's, or the experiment's
    first: float  # effect in the first quarter of the experiment's length
    later: Interval  # effect in the second half, by the interval that decides
    p_value: float  # p-value of no change between them, valid as decisions are
    fades: bool  # whether a gain is significantly smaller later


@dataclass(frozen=True)
class LargestListener:
    """A listener of an arm who dominates a metric."""

    arm: str
    metric: str
    share: float  # the listener's share of the sum over the arm
    # effects of all arms, in %, if values end at the largest but for 1 % of the listeners; unknown
    # from aggregates
    winsorised: Mapping[str, Interval]


@dataclass(frozen=True)
class Preference:
    """The preference of listeners between two interleaved recommenders."""

    arm: str  # the arm that has them
    first: str  # the recommender that the second is compared with
    second: str
    # change from the first's tracks to the second's, in %, by the interval that decides
    effect: Interval
    preferred: str | None  # the recommender whose tracks are surely heard for longer


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
    # adjusted by Bonferroni over primary metrics and arms, as their intervals are, by Benjamini and
    # Hochberg over the rest
    adjusted_p_value: float = math.nan
    # whether the adjusted p-value is below alpha, and the relative effect's interval excludes 0
    significant: bool = False
    # Share of the variance that listeners' past explains, which CUPED takes out; NaN without a past
    past_explains: float = math.nan
    unit: str = ""  # unit of the values
    # how much worse a guardrail may get, in the metric's unit
    margin: float | None = None
    # the same in % of the control's value; a guardrail has either
    margin_pct: float | None = None
    # whether the margin is kept; None unless it is a guardrail
    guardrail: GuardrailState | None = None
    day: str = ""  # its date, or a table's time
    segment: str = ""  # a group of listeners, such as "country=DE"

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
    described = (
        _describe(metric, arm, measurements[metric.name], analysis)
        for metric in config.reported
        for arm in measurements.get(metric.name, ())
        if arm != config.control
    )
    # A metric without a value in an arm, such as a ratio to 0, has no effect.
    rows = [row for row in described if not math.isnan(row.absolute.value)]
    p_values = [row.p_value for row in rows]
    primary = sum(row.role == "primary" for row in rows)
    adjusted = [min(p * analysis.comparisons, 1.0) for p in p_values[:primary]]
    adjusted += benjamini_hochberg(p_values[primary:])
    return tuple(
        replace(
            row,
            adjusted_p_value=p,
            significant=p < config.alpha
            and not row.relative.lower <= 0 <= row.relative.upper,
        )
        for row, p in zip(rows, adjusted, strict=True)
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
    return NO_INTERVAL if may_be_zero or abs(relative.value) > _MOST_PCT else relative


def _describe(
    metric: Metric, arm: str, by_arm: Mapping[str, Any], analysis: InterimAnalysis
) -> MetricEffect:
    """Describe an effect before any adjustment for many comparisons."""
    config = analysis.config
    role = config.roles[metric.name]
    single, past_explains = compare(metric, by_arm[config.control], by_arm[arm], config)
    comparisons = analysis.comparisons if role == "primary" else 1
    effect = single if role == "secondary" else analysis.widen(single, comparisons)
    limit = config.limits.get(metric.name)
    described = MetricEffect(
        arm=arm,
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        role=role,
        higher_is_better=metric.is_higher,
        control_value=effect.control.value,
        arm_value=effect.arm.value,
        absolute=effect.absolute,
        relative=relative_effect(effect),
        p_value=effect.p_value,
        past_explains=past_explains,
        **(limit.model_dump(exclude={"metric"}) if limit else {}),
    )
    if limit is None:
        return described
    loss, allowed = described.loss, described.allowed_loss
    state: GuardrailState = "unclear"
    # A metric that is the same for all listeners, as sessions on the first day, has not moved yet.
    is_still = metric.quantile is None and effect.standard_error == 0
    if is_still and (effect.control.value or limit.margin is None):
        state = "not yet known"
    elif loss.lower > allowed:
        state = "broken"
    elif loss.upper <= allowed:
        state = "kept"
    return replace(described, guardrail=state)


def segment_effects(
    rows: Sequence[MetricMoments], arms: Sequence[str], config: AbConfig, least: int
) -> Iterator[MetricEffect]:
    """Estimate the effects in each segment, as decided if there were no other listeners.

    Segments in which an arm has fewer than the least number of listeners are left out.
    """
    for segment in dict.fromkeys(row.segment for row in rows):
        sizes = {row.arm: row.listeners for row in rows if row.segment == segment}
        if min(sizes.get(arm, 0) for arm in arms) >= least:
            analysis = InterimAnalysis.at(config, sizes.values())
            for effect in metric_effects(by_metric(rows, segment), analysis):
                yield replace(effect, segment=segment)


def find_novelty(
    rows: Iterable[MetricMoments], analysis: InterimAnalysis
) -> Iterator[Novelty]:
    """Compare the effects of arms early and late, by a listener's days and by the experiment's.

    Args:
        rows: Moments, in the segments `NOVELTY` of a later part with an earlier part as the past.
        analysis: The rule that decides.
    """
    config, rows = analysis.config, [*rows]
    for segment, clock in NOVELTY.items():
        for metric, by_arm in by_metric(rows, segment).items():
            before = by_arm.pop(config.control, None)
            if before is None:
                continue
            sign = 1 if config.all_metrics[metric].is_higher else -1
            for arm, after in by_arm.items():
                change, square = before.log_ratio(PAST, RATIO)
                arm_change, arm_square = after.log_ratio(PAST, RATIO)
                error = math.sqrt(square + arm_square)
                if not error > 0:
                    continue
                first, later = (
                    decided(before, after, quantity, analysis)
                    for quantity in (PAST, RATIO)
                )
                errors = abs(arm_change - change) / error
                p_value = analysis.p_value(errors, before.count + after.count)
                is_less = sign * first.value > max(0.0, sign * later.value)
                fades = is_less and p_value < config.alpha
                yield Novelty(arm, metric, clock, first.value, later, p_value, fades)


def decided(
    control: Moments, arm: Moments, quantity: Quantity, analysis: InterimAnalysis
) -> Interval:
    """Compare a primary metric of two arms, in %, by the interval that decides."""
    single = effects.compare_moments(control, arm, quantity, 1 - analysis.config.alpha)
    return relative_effect(analysis.widen(single, analysis.comparisons))


def find_largest(
    rows: Sequence[MetricMoments], analysis: InterimAnalysis
) -> Iterator[LargestListener]:
    """Find listeners who dominate a primary metric.

    Args:
        rows: Moments, also in the segment `WINSORISED`.
        analysis: The rule that decides.
    """
    winsorised = by_metric(rows, WINSORISED)
    whole = [row for row in rows if not row.segment]
    for row in whole:
        if row.is_dominated and row.metric in analysis.config.primary:
            by_arm = winsorised.get(row.metric, {})
            total = row.moments.count * abs(row.moments.mean(_NUMERATOR))
            effects_by_arm = {
                arm: decided(by_arm[analysis.config.control], moments, RATIO, analysis)
                for arm, moments in by_arm.items()
                if arm != analysis.config.control
            }
            share = row.largest / total
            yield LargestListener(row.arm, row.metric, share, effects_by_arm)


def find_preferences(
    rows: Iterable[MetricMoments],
    recommenders: Mapping[str, str],
    analysis: InterimAnalysis,
) -> Iterator[Preference]:
    """Compare the two recommenders of every arm that interleaves them.

    The listening time of a track is compared, as a ratio of the same listeners. Both recommenders
    share the rest of a session, so a recommender that keeps listeners for longer, or tires them, is
    not credited for it.

    Args:
        rows: Moments, in the segment `INTERLEAVED` of credited tracks.
        recommenders: Recommenders of the arms.
        analysis: The rule that decides.
    """
    for row in rows:
        first, *rest = members(recommenders.get(row.arm, ""))
        if row.segment != INTERLEAVED or not rest:
            continue
        change, square = row.moments.log_ratio(PAST, RATIO)
        if math.isfinite(change):
            errors = analysis.errors(analysis.config.alpha, row.moments.count)
            half = errors * math.sqrt(square)
            ends = (change, change - half, change + half)
            effect = Interval(*(100 * math.expm1(end) for end in ends))
            (second,) = rest
            better = second if change > 0 else first
            preferred = better if effect.excludes_zero else None
            yield Preference(row.arm, first, second, effect, preferred)
