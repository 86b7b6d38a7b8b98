"""Effects of every configured metric and arm: the interval for one look, the one that decides, and its checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import Literal

import pyarrow.compute as pc
from scipy import stats

from analysis import queries
from analysis.ab.config import AbConfig, Guardrail, Role
from analysis.ab.metrics import Method, Metric
from analysis.page import numbers
from analysis.statistics import effects, sequential
from analysis.statistics.effects import Effect, Histogram, Interval
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from analysis.statistics.power import Design, detectable_effect
from looplib.arrays import FloatArray

GuardrailState = Literal["kept", "unclear", "broken"]
Listeners = Mapping[
    str, FloatArray
]  # column of `listeners` → values, each of shape (listeners,)

# standard errors from 0 that a control's value must have for an effect in % of it
_SURELY_NOT_ZERO = 3.0
_MOST_PCT = 10_000.0  # a change by more is no effect on what the control does


def number(value: float) -> float | None:
    """Return the value, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class RelativeEffect:
    """An effect in % of the control's value, with an interval and, where the method has one, a p-value."""

    effect_pct: float | None
    lower_pct: float | None
    upper_pct: float | None
    p_value: float | None

    @classmethod
    def of(cls, interval: Interval, p_value: float = math.nan) -> "RelativeEffect":
        """Return an interval in % as a report shows it; what is not finite is None."""
        return cls(
            number(interval.value),
            number(interval.lower),
            number(interval.upper),
            number(p_value),
        )

    def __str__(self) -> str:
        """Return the effect with its interval, such as "+1.50 % (+0.20 … +2.80 %)"; "unknown" where there is none."""
        if self.effect_pct is None:
            return "unknown"
        ends = numbers.interval(self.lower_pct, self.upper_pct)
        return f"{numbers.change(self.effect_pct)}{'' if ends == numbers.NOTHING else f' ({ends})'}"


@dataclass(frozen=True)
class Deciding:
    """The interval of an effect that the verdict is made from.

    It is the always-valid one, or, once the declared horizon is reached, the one for a single look.
    """

    at_horizon: bool  # whether the horizon is reached
    lower: float | None  # lower end of the absolute effect
    upper: float | None  # upper end
    relative: RelativeEffect  # the effect in %, with the p-value of no difference


@dataclass(frozen=True)
class MetricEffect:
    """An arm's effect on a metric; its own intervals are for one look."""

    arm: str  # the arm that is compared with the other
    metric: str  # the metric's name
    label: str  # its name for people
    role: Role  # its role in the configuration
    # "mean" over listeners (Welch), "ratio" of sums (delta method) or "quantile" of requests
    method: Method
    higher_is_better: bool  # whether more of it is better
    control_value: float | None  # the metric of the control
    arm_value: float | None  # the metric of the arm
    effect: float | None  # absolute difference
    lower: float | None  # lower end of its interval
    upper: float | None  # upper end
    # the effect in % of the control's value, the control's own noise included
    relative: RelativeEffect
    p_value: float | None  # two-sided, that there is no difference
    deciding: Deciding  # what the verdict is made from
    # Of primary metrics the deciding one, by Holm over them and the arms; else Benjamini and
    # Hochberg over the rest
    adjusted_p_value: float | None = None
    significant: bool = False  # whether the adjusted p-value is below alpha
    # smallest relative effect that is significant with the configured power at this size
    mde_pct: float | None = None
    # Share of the variance that listeners' past explains, which is taken out (CUPED) where that was
    # declared; None without a past
    past_explains: float | None = None
    # how much worse a guardrail may get, in the metric's unit; None for the others
    margin: float | None = None
    margin_pct: float | None = (
        None  # the same in % of the control's value; one of the two is given
    )
    guardrail: GuardrailState | None = (
        None  # whether it is kept to; None for the others
    )

    def gain(self, change: float | None) -> float:
        """Return a change of the metric so that more is better; NaN for None."""
        return (
            math.nan if change is None else change if self.higher_is_better else -change
        )


@dataclass(frozen=True)
class Look:
    """How an experiment is looked at: at its horizon once, else again and again."""

    config: AbConfig
    comparisons: int  # tests of primary metrics
    at_horizon: bool

    def deciding(self, effect: Effect) -> Deciding:
        """Return the interval that decides."""
        planned, confidence = self.config.planned_listeners, 1 - self.config.alpha
        found = (
            effect
            if self.at_horizon
            else sequential.at_any_time(effect, planned, confidence)
        )
        lower, upper = found.absolute.lower, found.absolute.upper
        return Deciding(
            self.at_horizon, number(lower), number(upper), relative_effect(found)
        )

    def primary_level(self, listeners: int) -> float:
        """Return the level of the normal test that decides when nothing else is significant: Holm's first step."""
        alpha = self.config.alpha
        if self.at_horizon:
            return alpha / self.comparisons
        planned, level = self.config.planned_listeners, alpha / self.comparisons
        return 2 * float(
            stats.norm.sf(sequential.widening(listeners, planned, 1 - alpha, level))
        )


def metric_effects(
    connection: queries.Connection,
    listeners: Mapping[str, Listeners],
    config: AbConfig,
    *,
    at_horizon: bool = False,
) -> tuple[MetricEffect, ...]:
    """Estimate the effects on all metrics that the log can tell of, primary ones first, then by arm.

    The connection has the tables `histogram_…`; `listeners` are those of every arm. At the horizon
    one look decides.
    """
    look = Look(config, len(config.primary) * (len(listeners) - 1), at_horizon)
    found = [
        _describe(metric, arm, effect, past_explains, look)
        for metric in config.reported
        for arm, (effect, past_explains) in _effects_of(
            metric, connection, listeners, config
        ).items()
    ]
    # A metric without a value in an arm, such as a ratio to 0, has no effect.
    known = [
        effect
        for effect in found
        if None not in (effect.control_value, effect.arm_value)
    ]
    primary = [effect for effect in known if effect.role == "primary"]
    others = [effect for effect in known if effect.role != "primary"]
    p_values = holm([effect.deciding.relative.p_value for effect in primary])
    p_values += benjamini_hochberg([effect.p_value for effect in others])
    return tuple(
        replace(
            effect, adjusted_p_value=number(p_value), significant=p_value < config.alpha
        )
        for effect, p_value in zip(primary + others, p_values, strict=True)
    )


def effects_between(
    listeners: Mapping[str, Listeners], config: AbConfig, *, at_horizon: bool
) -> dict[tuple[str, str], RelativeEffect]:
    """Return the deciding effect on the first primary metric of each arm but the control on each other one."""
    metric, look = config.known[config.primary[0]], Look(config, 1, at_horizon)
    moments = {
        arm: metric.moments(columns)
        for arm, columns in listeners.items()
        if arm != config.control
    }
    found = {}
    for arm, other in permutations(moments, 2):
        effect, _ = _compare(metric, moments[other], moments[arm], config)
        found[arm, other] = look.deciding(effect).relative
    return found


def _effects_of(
    metric: Metric,
    connection: queries.Connection,
    listeners: Mapping[str, Listeners],
    config: AbConfig,
) -> dict[str, tuple[Effect, float | None]]:
    """Return each arm's effect on a metric, and how much of its variance the past explains."""
    control, arms = config.control, [arm for arm in listeners if arm != config.control]
    if metric.quantile is None:
        moments = {arm: metric.moments(columns) for arm, columns in listeners.items()}
        return {
            arm: _compare(metric, moments[control], moments[arm], config)
            for arm in arms
        }
    rows, histograms = queries.read_table(connection, f"histogram_{metric.source}"), {}
    for arm, columns in listeners.items():
        of_arm = rows.filter(pc.field("arm") == arm)
        steps, groups, counts = (
            of_arm[name].to_numpy() for name in ("step", "listener_group", "values")
        )
        histograms[arm] = Histogram.of(steps, groups, counts, len(columns["sessions"]))
    quantiles = partial(
        effects.compare_quantiles, share=metric.quantile, confidence=1 - config.alpha
    )
    return {
        arm: (quantiles(histograms[control], histograms[arm]), None) for arm in arms
    }


def _compare(
    metric: Metric, control: Moments, arm: Moments, config: AbConfig
) -> tuple[Effect, float | None]:
    """Return the effect, without what the past predicts where that was declared, and how much the past explains."""
    confidence = 1 - config.alpha
    plain = effects.compare_moments(control, arm, metric.quantity, confidence)
    past, both = metric.past, control + arm
    if (
        past is None
        or not both.count
        or not both.mean(Quantity(past.denominator or past.numerator))
    ):
        return plain, None
    adjusted = effects.adjust(control, arm, metric.quantity, past)
    decides = (
        effects.compare(adjusted.control, adjusted.arm, confidence)
        if config.cuped
        else plain
    )
    return decides, number(1 - adjusted.variance_kept)


def _describe(
    metric: Metric, arm: str, effect: Effect, past_explains: float | None, look: Look
) -> MetricEffect:
    """Return the effect before any adjustment for many comparisons."""
    config, deciding, relative = (
        look.config,
        look.deciding(effect),
        relative_effect(effect),
    )
    guardrail = next(
        (row for row in config.guardrails if row.metric == metric.name), None
    )
    level = (
        look.primary_level(effect.listeners)
        if metric.name in config.primary
        else config.alpha
    )
    return MetricEffect(
        arm=arm,
        metric=metric.name,
        label=metric.label,
        role=config.role_of(metric.name),
        method=metric.method,
        higher_is_better=metric.better == "higher",
        control_value=number(effect.control.value),
        arm_value=number(effect.arm.value),
        effect=number(effect.absolute.value),
        lower=number(effect.absolute.lower),
        upper=number(effect.absolute.upper),
        relative=relative,
        p_value=number(effect.p_value),
        deciding=deciding,
        # Nothing in % of a control that is next to nothing
        mde_pct=None
        if relative.effect_pct is None
        else detectable_pct(effect, level, config.power),
        past_explains=past_explains,
        margin=guardrail.margin if guardrail else None,
        margin_pct=guardrail.margin_pct if guardrail else None,
        guardrail=_state(deciding, guardrail, metric.better) if guardrail else None,
    )


def relative_effect(effect: Effect) -> RelativeEffect:
    """Return the effect in %; nothing but the p-value where the control's value may be 0, or is next to the arm's."""
    control, relative = effect.control, effect.relative
    is_near_zero = (
        control.value**2 < _SURELY_NOT_ZERO**2 * control.squared_error
        or 100 * relative.value > _MOST_PCT
    )
    return RelativeEffect.of(
        effects.NO_INTERVAL if is_near_zero else relative.scaled(100), effect.p_value
    )


def _state(found: Deciding, guardrail: Guardrail, better: str) -> GuardrailState:
    """Return "kept" if the deciding interval is within the margin (non-inferiority), "broken" if it is all beyond."""
    ends, margin = (found.lower, found.upper), guardrail.margin
    if margin is None:
        ends, margin = (
            (found.relative.lower_pct, found.relative.upper_pct),
            guardrail.margin_pct or 0.0,
        )
    if None in ends:
        return "unclear"
    least, most = sorted(
        -end if better == "higher" else end for end in ends if end is not None
    )
    return "broken" if least > margin else "kept" if most <= margin else "unclear"


def detectable_pct(effect: Effect, level: float, power: float) -> float | None:
    """Return the smallest relative effect found with this power at a level, from the variance within the arms."""
    control, arm = effect.control, effect.arm
    both = control.count + arm.count
    if min(control.count, arm.count) < 2 or not control.value:
        return None
    within = (control.variance * control.count + arm.variance * arm.count) / both
    design = Design(alpha=level, power=power, ratio=arm.count / control.count)
    return number(100 * detectable_effect(within, both, design) / abs(control.value))
