"""Segments: an arm's effect on listeners or sessions of one kind, and whether the kinds differ in it.

A segment is a set of sessions: of listeners, or opened by tracks, with one label; of listeners who
were there before the experiment; or of one time since a listener's first session in it, where an
effect that fades was novelty. Segments explain and decide nothing, so their intervals are for one
look.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy import stats

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import RelativeEffect, number, relative_effect
from analysis.ab.measures import NOVELTY, PAST, values_of
from analysis.ab.metrics import Metric
from analysis.statistics.effects import compare_moments
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from looplib.arrays import IntArray

_MOST = 8  # segments of a kind; the smallest beyond are taken together
_FEWEST = 30  # listeners of an arm whose mean is about normal
_OTHERS = "others"
_NAMES = {
    NOVELTY: "time since the first session",
    PAST: "listeners new or known before",
}


@dataclass(frozen=True)
class SegmentEffect:
    """The effect in one segment."""

    segment: str  # its label
    control_listeners: int  # control listeners with a session in it
    arm_listeners: int  # the arm's
    control_value: float | None  # the metric of the control's sessions in it
    arm_value: float | None  # of the arm's
    # the effect in % of the control's value, with the interval for one look
    relative: RelativeEffect
    adjusted_p_value: float | None = (
        None  # by Benjamini and Hochberg over all segments of a report
    )


@dataclass(frozen=True)
class Segments:
    """The effects of an arm on a primary metric by segment."""

    name: str  # what the segments are by, for people
    arm: str
    metric: str
    label: str  # the metric's name for people
    effects: tuple[SegmentEffect, ...]
    p_value: float | None  # that the relative effects of all segments are the same
    # by Holm over all kinds of segments, arms and metrics of a report
    adjusted_p_value: float | None = None


def segment_effects(
    connection: queries.Connection, arms: Sequence[str], config: AbConfig
) -> tuple[Segments, ...]:
    """Compare the arms, the control first, on primary metrics wherever there is more than one segment."""
    found = []
    for by in (NOVELTY, PAST, *config.segments):
        for metric in (config.known[name] for name in config.primary):
            of_arms = [values_of(connection, metric, by, arm) for arm in arms]
            labels, segments = _merge(of_arms)
            if len(labels) < 2:
                continue
            control, *others = (
                _sums_of(*side, len(labels), metric)
                for side in zip(of_arms, segments, strict=True)
            )
            for arm, treated in zip(arms[1:], others, strict=True):
                effects, p_value = _compare(control, treated, labels, config)
                found.append(
                    Segments(
                        _NAMES.get(by, by),
                        arm,
                        metric.name,
                        metric.label,
                        effects,
                        number(p_value),
                    )
                )
    of_segments = iter(
        benjamini_hochberg(
            [effect.relative.p_value for row in found for effect in row.effects]
        )
    )
    adjusted = (
        tuple(
            replace(effect, adjusted_p_value=number(next(of_segments)))
            for effect in row.effects
        )
        for row in found
    )
    return tuple(
        replace(row, adjusted_p_value=number(p_value), effects=effects)
        for row, p_value, effects in zip(
            found, holm([row.p_value for row in found]), adjusted, strict=True
        )
    )


def _merge(of_arms: Sequence[pa.Table]) -> tuple[list[str], list[IntArray]]:
    """Return the labels of segments, by size or, where they count days, by day, and the segment of each arm's rows."""
    parts = np.concatenate([rows["part"].to_numpy().astype(str) for rows in of_arms])
    names, row_names, counts = np.unique(parts, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = order if len(order) <= _MOST else order[: _MOST - 1]
    labels = sorted(names[kept].tolist(), key=_day) + (
        [_OTHERS] if len(kept) < len(order) else []
    )
    position = {label: index for index, label in enumerate(labels)}
    segments = np.array(
        [position.get(name, len(labels) - 1) for name in names.tolist()], np.int64
    )[row_names]
    return labels, np.split(segments, np.cumsum([len(rows) for rows in of_arms[:-1]]))


def _day(label: str) -> int:
    """Return the day that a label of `sql/ab/by_segment.sql` names; 0 for other labels, whose order stays."""
    last = label.rpartition("day ")[2]
    return int(last) if last.isdecimal() else 0


@dataclass(frozen=True)
class _Side:
    """An arm's metric in each segment as a ratio of two columns, x and y with the segment's number."""

    moments: Moments
    listeners: list[int]  # with a session in it, by segment


def _sums_of(rows: pa.Table, segments: IntArray, count: int, metric: Metric) -> _Side:
    """Return the sums of an arm's listeners by segment; a mean is over those with a session in the segment."""
    users, row = np.unique(rows["user"].to_numpy(), return_inverse=True)
    cells = (row, segments)
    x, y, seen = (np.zeros((len(users), count)) for _ in range(3))
    np.add.at(x, cells, rows[metric.sums[0]].to_numpy())
    np.add.at(y, cells, rows[metric.sums[-1]].to_numpy())
    seen[cells] = 1
    listeners = seen.sum(axis=0).astype(int).tolist()
    if metric.per_listener:
        x, y = np.divide(x, y, out=np.zeros_like(x), where=y > 0), (y > 0).astype(float)
    elif metric.method == "mean":
        y = seen
    columns = {f"x{number}": values for number, values in enumerate(x.T)}
    return _Side(
        Moments.of(
            columns | {f"y{number}": values for number, values in enumerate(y.T)}
        ),
        listeners,
    )


def _compare(
    control: _Side, arm: _Side, labels: Sequence[str], config: AbConfig
) -> tuple[tuple[SegmentEffect, ...], float]:
    """Return the effect in each segment, and the p-value of no difference between those of enough listeners."""
    effects, large = [], []
    for position, label in enumerate(labels):
        quantity = Quantity(f"x{position}", f"y{position}")
        effect = compare_moments(
            control.moments, arm.moments, quantity, 1 - config.alpha
        )
        before, after = effect.control.value, effect.arm.value
        counts = control.listeners[position], arm.listeners[position]
        effects.append(
            SegmentEffect(
                label, *counts, number(before), number(after), relative_effect(effect)
            )
        )
        if min(counts) >= _FEWEST and min(before, after) > 0:
            large.append(quantity)
    return tuple(effects), difference_p(control.moments, arm.moments, large)


def difference_p(
    control: Moments, arm: Moments, quantities: Sequence[Quantity]
) -> float:
    """Test whether the relative effects on several quantities are the same; NaN for fewer than two.

    Wald's test on the differences of the logarithms of the ratios, whose covariances are those of
    the delta method over the listeners, so a listener may count in several quantities. Wald, Tests
    of Statistical Hypotheses Concerning Several Parameters When the Number of Observations is
    Large, 1943.
    """
    if len(quantities) < 2:
        return math.nan
    means = [
        np.array([side.mean(quantity) for quantity in quantities])
        for side in (control, arm)
    ]
    covariance = np.zeros((len(quantities), len(quantities)))
    for side, values in zip((control, arm), means, strict=True):
        rows = [
            [side.covariance(left, right) for right in quantities]
            for left in quantities
        ]
        covariance += np.array(rows) / np.outer(values, values) / side.count
    contrasts = np.hstack(
        [np.full((len(quantities) - 1, 1), -1.0), np.eye(len(quantities) - 1)]
    )
    off = contrasts @ (np.log(means[1]) - np.log(means[0]))
    statistic = off @ np.linalg.pinv(contrasts @ covariance @ contrasts.T) @ off
    return float(stats.chi2.sf(statistic, len(off)))
