"""Segments: an arm's effect on listeners or sessions of one kind, and whether kinds differ.

A segment is a set of sessions: of listeners, or opened by tracks, with one label; of listeners who
were there before the experiment; or of one time since a listener's first session in it, where an
effect that fades was novelty. Segments explain and decide nothing, so their intervals are for one
look.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy import special

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import RelativeEffect, relative_effect
from analysis.ab.measures import LABELS, NOVELTY, PAST, metric_values
from analysis.ab.metrics import Metric
from analysis.statistics.effects import compare_moments
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import holm

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
    control_value: float  # the metric of the control's sessions in it
    arm_value: float  # of the arm's
    # the effect in % of the control's value, with the interval for one look
    relative: RelativeEffect


@dataclass(frozen=True)
class Segments:
    """The effects of an arm on a primary metric by segment."""

    name: str  # what the segments are by, for people
    arm: str
    metric: str
    label: str  # the metric's name for people
    effects: tuple[SegmentEffect, ...]
    p_value: float  # that the relative effects of all segments are the same; else NaN
    # by Holm over all kinds of segments, arms and metrics of a report
    adjusted_p_value: float = math.nan


def segment_effects(
    connection: queries.Connection, arms: Sequence[str], config: AbConfig
) -> tuple[Segments, ...]:
    """Compare the arms on primary metrics wherever there is more than one segment."""
    found = []
    names = _NAMES | {f"{LABELS}{column}": column for column in config.segments}
    for by, name in names.items():
        for metric in config.deciding:
            tables = {arm: metric_values(connection, metric, by, arm) for arm in arms}
            labels = _choose_labels(tables.values(), by)
            if len(labels) < 2:
                continue
            sides = {arm: _sum_up(rows, labels, metric) for arm, rows in tables.items()}
            control = sides.pop(config.control)
            for arm, side in sides.items():
                effects, p_value = _compare(control, side, labels, config)
                found.append(
                    Segments(
                        name=name,
                        arm=arm,
                        metric=metric.name,
                        label=metric.label,
                        effects=effects,
                        p_value=p_value,
                    )
                )
    p_values = holm([row.p_value for row in found])
    return tuple(
        replace(row, adjusted_p_value=p_value)
        for row, p_value in zip(found, p_values, strict=True)
    )


def _choose_labels(tables: Iterable[pa.Table], by: str) -> list[str]:
    """Return the labels of segments, by size or by day; the smallest beyond are `_OTHERS`."""
    parts = pa.concat_tables(rows.select(["part"]) for rows in tables)["part"]
    sizes = parts.value_counts().to_pylist()
    sizes.sort(key=lambda size: (-size["counts"], size["values"]))
    by_size = [size["values"] for size in sizes]
    chosen = by_size
    if len(by_size) > _MOST:
        chosen = [label for label in by_size if label != _OTHERS][: _MOST - 1]
    if by == NOVELTY:  # "day 1", "day 2", "from day 3" and so on, "from day 17"
        chosen.sort(key=lambda label: (len(label), label))
    return chosen if len(by_size) <= _MOST else [*chosen, _OTHERS]


@dataclass(frozen=True)
class _Side:
    """An arm's metric by segment: ratios of the columns x and y with the segment's number."""

    moments: Moments
    listeners: list[int]  # with a session in it, by segment


def _sum_up(rows: pa.Table, labels: Sequence[str], metric: Metric) -> _Side:
    """Sum up an arm's listeners by segment; a mean is over those with a session in it."""
    position = {label: number for number, label in enumerate(labels)}
    others = len(labels) - 1
    parts = rows["part"].combine_chunks().dictionary_encode()
    names = [position.get(name, others) for name in parts.dictionary.to_pylist()]
    segment = np.array(names, np.int64)[parts.indices.to_numpy()]
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    shape = len(users), len(labels)
    numerators, denominators, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(numerators, (listener, segment), rows[metric.sums[0]].to_numpy())
    np.add.at(denominators, (listener, segment), rows[metric.sums[-1]].to_numpy())
    seen[listener, segment] = 1
    listeners = seen.sum(axis=0).astype(int).tolist()
    if metric.per_listener:
        has_value = denominators > 0
        np.divide(numerators, denominators, out=numerators, where=has_value)
        denominators = has_value.astype(np.float64)
        numerators *= denominators
    elif metric.method == "mean":
        denominators = seen
    columns = {f"x{number}": column for number, column in enumerate(numerators.T)}
    columns |= {f"y{number}": column for number, column in enumerate(denominators.T)}
    return _Side(Moments.of(columns), listeners)


def _compare(
    control: _Side, arm: _Side, labels: Sequence[str], config: AbConfig
) -> tuple[tuple[SegmentEffect, ...], float]:
    """Return the effect in each segment, and the p-value of no difference between large ones."""
    effects, large = [], []
    for position, label in enumerate(labels):
        quantity = Quantity(f"x{position}", f"y{position}")
        effect = compare_moments(
            control.moments, arm.moments, quantity, 1 - config.alpha
        )
        found = SegmentEffect(
            segment=label,
            control_listeners=control.listeners[position],
            arm_listeners=arm.listeners[position],
            control_value=effect.control.value,
            arm_value=effect.arm.value,
            relative=relative_effect(effect),
        )
        effects.append(found)
        listeners = min(found.control_listeners, found.arm_listeners)
        if listeners >= _FEWEST and min(found.control_value, found.arm_value) > 0:
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
    count = len(quantities)
    if count < 2:
        return math.nan
    effects = np.zeros(count)  # logarithms of arm / control
    covariance = np.zeros((count, count))
    for sign, side in ((-1, control), (1, arm)):
        means = np.array([side.mean(quantity) for quantity in quantities])
        covariances = [
            [side.covariance(left, right) for right in quantities]
            for left in quantities
        ]
        effects += sign * np.log(means)
        covariance += np.array(covariances) / np.outer(means, means) / side.count
    first_column = np.full((count - 1, 1), -1.0)
    contrasts = np.hstack([first_column, np.eye(count - 1)])
    differences = contrasts @ effects
    inverse = np.linalg.pinv(contrasts @ covariance @ contrasts.T)
    return float(special.chdtrc(count - 1, differences @ inverse @ differences))
