"""Every configured metric and arm: the effect, its interval, and the checks beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.latency import Latencies, compare_quantiles, read_latencies
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.moments import read_moments
from analysis.ab.numbers import interval, number
from analysis.ab.report import Cuped, GuardrailState, MetricEffect
from analysis.ab.report import Interval as Shown
from analysis.statistics import cuped, effects, robustness
from analysis.statistics.bootstrap import Ratios
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from analysis.statistics.power import Design, detectable_effect
from looplib.arrays import FloatArray

_MOST_DRAWS = 200_000_000  # listeners times resamples
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class _Checks:
    """What leans on no normal distribution, of one metric."""

    bootstrap: Shown | None
    mann_whitney_p: float | None


def metric_effects(
    connection: queries.Connection, config: AbConfig, control: str, arms: Sequence[str]
) -> tuple[MetricEffect, ...]:
    """The effects of all metrics that the log can tell of, primary ones first, then by arm.

    Args:
        connection: Has the tables of `analysis.ab.tables.tabulate`.
        config: The metrics and their roles.
        control: The arm that the others are compared with.
        arms: Those others.
    """
    metrics = [METRICS[name] for name in config.metrics]
    by_sums = [metric for metric in metrics if metric.method != "quantile"]
    moments = read_moments(connection, by_sums, [control, *arms])
    latencies = read_latencies(connection) if len(by_sums) < len(metrics) else {}
    checks = _robustness(connection, by_sums, config, control, arms)
    found = []
    for metric in metrics:
        for arm in arms:
            if metric.method == "quantile":
                found += _of_quantile(metric, config, latencies, control, arm)
            else:
                of_metric = moments[metric.name]
                found += _of_moments(metric, config, of_metric[control], of_metric[arm], arm, checks[arm, metric.name])
    return _adjusted(found, config.alpha)


def _of_moments(
    metric: Metric, config: AbConfig, control: Moments, treated: Moments, arm: str, checks: _Checks
) -> list[MetricEffect]:
    """The effect on a mean or a ratio; none where an arm has nothing to divide by."""
    before, after = (effects.estimate(moments, metric.quantity) for moments in (control, treated))
    if any(value.count < 1 or math.isnan(value.value) for value in (before, after)):
        return []
    effect = effects.compare(before, after, confidence=1 - config.alpha)
    return [
        MetricEffect(
            arm=arm,
            metric=metric.name,
            label=metric.label,
            role=config.role(metric.name),
            method=metric.method,
            higher_is_better=metric.higher_is_better,
            control_value=number(effect.control.value),
            arm_value=number(effect.arm.value),
            effect=number(effect.absolute.value),
            lower=number(effect.absolute.lower),
            upper=number(effect.absolute.upper),
            relative=interval(effect.relative, effect.p_value),
            p_value=number(effect.p_value),
            adjusted_p_value=None,
            significant=False,
            mde_pct=_mde_pct(effect, config),
            cuped=_cuped(metric, control, treated, config),
            bootstrap=checks.bootstrap,
            mann_whitney_p=checks.mann_whitney_p,
            margin=_margin(metric.name, config),
            guardrail=_guardrail(metric, config, effect.absolute),
        )
    ]


def _of_quantile(
    metric: Metric, config: AbConfig, latencies: Mapping[str, Latencies], control: str, arm: str
) -> list[MetricEffect]:
    if control not in latencies or arm not in latencies or metric.quantile is None:
        return []
    effect = compare_quantiles(latencies[control], latencies[arm], metric.quantile, 1 - config.alpha)
    return [
        MetricEffect(
            arm=arm,
            metric=metric.name,
            label=metric.label,
            role=config.role(metric.name),
            method="quantile",
            higher_is_better=metric.higher_is_better,
            control_value=number(effect.control_ms),
            arm_value=number(effect.arm_ms),
            effect=number(effect.absolute.value),
            lower=number(effect.absolute.lower),
            upper=number(effect.absolute.upper),
            relative=interval(effect.relative, effect.p_value),
            p_value=number(effect.p_value),
            adjusted_p_value=None,
            significant=False,
            mde_pct=None,
            cuped=None,
            bootstrap=None,
            mann_whitney_p=None,
            margin=_margin(metric.name, config),
            guardrail=_guardrail(metric, config, effect.absolute),
        )
    ]


def _mde_pct(effect: effects.Effect, config: AbConfig) -> float | None:
    """Smallest relative effect that is found with the configured power, from the variance within the arms."""
    control, arm = effect.control, effect.arm
    both = control.count + arm.count
    if min(control.count, arm.count) < 2 or not control.value:
        return None
    within = (control.variance * control.count + arm.variance * arm.count) / both
    design = Design(alpha=config.alpha, power=config.power, ratio=arm.count / control.count)
    return number(100 * detectable_effect(within, both, design) / abs(control.value))


def _cuped(metric: Metric, control: Moments, treated: Moments, config: AbConfig) -> Cuped | None:
    """The effect without what the past foretells; None where nobody has a past."""
    if metric.past is None:
        return None
    both = control + treated
    if not both.count or not both.mean(Quantity(metric.past.denominator or metric.past.numerator)):
        return None
    adjusted = cuped.adjust(control, treated, metric.quantity, metric.past)
    effect = effects.compare(adjusted.control, adjusted.arm, confidence=1 - config.alpha)
    covariate = (
        metric.past.numerator
        if metric.past.denominator is None
        else "/".join((metric.past.numerator, metric.past.denominator))
    )
    return Cuped(interval(effect.relative, effect.p_value), covariate, number(1 - adjusted.variance_kept) or 0.0)


def _margin(name: str, config: AbConfig) -> float | None:
    return next((guardrail.margin for guardrail in config.guardrails if guardrail.metric == name), None)


def _guardrail(metric: Metric, config: AbConfig, effect: effects.Interval) -> GuardrailState | None:
    """Broken if it is surely worse by more than the margin, kept if it surely is not."""
    margin = _margin(metric.name, config)
    if margin is None:
        return None
    worse = effect.scaled(-1.0 if metric.higher_is_better else 1.0)
    if worse.lower > margin:
        return "broken"
    return "kept" if worse.upper <= margin else "unclear"


def _adjusted(found: Sequence[MetricEffect], alpha: float) -> tuple[MetricEffect, ...]:
    """Holm over the primary metrics and arms, Benjamini and Hochberg over the rest."""
    primary = [one for one in found if one.role == "primary"]
    rest = [one for one in found if one.role != "primary"]
    adjusted = [
        replace(one, adjusted_p_value=number(p_value), significant=p_value < alpha)
        for group, adjust in ((primary, holm), (rest, benjamini_hochberg))
        for one, p_value in zip(group, adjust([_p_value(one) for one in group]), strict=True)
    ]
    return tuple(adjusted)


def _p_value(effect: MetricEffect) -> float:
    return math.nan if effect.p_value is None else effect.p_value


def _robustness(
    connection: queries.Connection, metrics: Sequence[Metric], config: AbConfig, control: str, arms: Sequence[str]
) -> dict[tuple[str, str], _Checks]:
    """The checks by arm and metric."""
    values = {arm: _values(connection, arm) for arm in (control, *arms)}
    found: dict[tuple[str, str], _Checks] = {}
    for arm in arms:
        of_control, of_arm = (_ratios(values[one], metrics) for one in (control, arm))
        resampled = _resampled(of_control, of_arm, config)
        for metric, one in zip(metrics, resampled, strict=True):
            p_value = _rank_test(metric, values[control], values[arm])
            found[arm, metric.name] = _Checks(one, p_value)
    return found


def _resampled(control: Ratios, arm: Ratios, config: AbConfig) -> list[Shown | None]:
    """The relative effects by the bootstrap; None where an arm has a single listener."""
    sizes = [len(one.numerators) for one in (control, arm)]
    if min(sizes) < 2:
        return [None] * control.numerators.shape[1]
    resamples = max(_FEWEST_RESAMPLES, min(config.resamples, _MOST_DRAWS // max(sizes)))
    found = robustness.bootstrap_effects(control, arm, resamples, config.seed)
    return [interval(one.relative) for one in found]


def _values(connection: queries.Connection, arm: str) -> dict[str, FloatArray]:
    """The listeners' columns of an arm, NaN where there is no value; each of shape (listeners,)."""
    rows = queries.fetch_table(connection, "ab/arm_values", arm=arm)
    return {name: rows[name].to_numpy().astype(np.float64) for name in rows.column_names}


def _ratios(values: Mapping[str, FloatArray], metrics: Sequence[Metric]) -> Ratios:
    numerators, denominators = [], []
    for metric in metrics:
        numerator = values[metric.quantity.numerator]
        known = ~np.isnan(numerator)
        numerators.append(np.where(known, numerator, 0.0))
        denominators.append(
            known.astype(np.float64) if metric.quantity.denominator is None else values[metric.quantity.denominator]
        )
    return Ratios(np.column_stack(numerators), np.column_stack(denominators))


def _rank_test(metric: Metric, control: Mapping[str, FloatArray], arm: Mapping[str, FloatArray]) -> float | None:
    if metric.method != "mean":
        return None
    first, second = (one[metric.quantity.numerator] for one in (control, arm))
    return number(robustness.compare_ranks(first[~np.isnan(first)], second[~np.isnan(second)]).p_value)
