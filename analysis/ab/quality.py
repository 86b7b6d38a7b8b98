"""Find data that cannot be trusted, by arm and day.

An arm is compared with the others on the same days, and with its own past. A treatment moves its
own arm, from the first day or later, so a moving level is a fault only in the control, which has no
treatment, or if it falls to nothing. No treatment breaks chains or loses the `last` of sessions.
Each rule has the error rate `THRESHOLD` over all days and arms, valid at any time.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal, cast

import numpy as np

from analysis.ab.interim import InterimAnalysis
from analysis.ab.moments import PAST, RATIO, MetricMoments
from analysis.statistics import effects
from analysis.statistics.level_shifts import (
    SUMS,
    cluster_factor,
    find_shift,
)
from analysis.statistics.moments import Moments
from analysis.statistics.sample_ratio import THRESHOLD, check_by_day
from looplib.arrays import FloatArray

Distrust = Literal[
    "sample ratio",  # the arms do not have their shares of the listeners
    "rejected lines",  # too many lines are not events
    "absent arm",  # an arm has no listeners on days on which other arms have
    "broken chains",  # an arm's events do not follow its recommendations
    "missing last",  # an arm's sessions have no end
    "doubled events",  # an arm has events twice
    "zeros",  # listening times of the control, or nearly all of an arm, are 0
    "level shift",  # the control stands at another level, or an arm fell to nothing
    "past difference",  # an arm differed from the control before the experiment
    "frozen row",  # an arm's row of aggregates stood still while another's moved
    "jump",  # an effect is far from the row before
    "changing listeners",  # too many were in several arms
    "no variance",  # all listeners of an arm have the same value, or none
]
Caution = Literal[
    "sample ratio by day",  # the arms do not have their shares of a day's new listeners
    "changed recommender",  # an arm was answered by another recommender later
]
SURELY_SOME = 20  # expected listeners of whom none comes with a chance of e^-20
_MOST_DOUBLED = 0.01  # tolerated share of events that are there twice
_INTACT = 0.02  # share of broken chains with which the other arms count as intact
_LEAST_EXCESS = 0.05  # smallest excess over intact arms that is a fault
_STAYING = 0.5  # share of a step overnight that must still be there
_LEAST_SHIFT = 0.02  # smallest difference or change that is a fault
# A change to next to nothing, and a share of listening times that are 0, that no treatment explains
_NOTHING = math.log(0.05)
_ALL = 0.95
# A jump beyond both is no chance: standard errors, and deviations that new values can cause.
_LEAST_JUMP = 2.0
_MOST_DEVIATIONS = 6.0
# signals that no treatment can cause, and signals that are compared by their ratio
_CHAINS = ("broken chains", "missing last")
_RATIOS = {"time": "listening time of a track", "events": "events a listener and day"}


@dataclass(frozen=True)
class Finding:
    """A fault in the data of an arm: no effect can be trusted, or a warning is due."""

    reason: Distrust | Caution
    arm: str
    metric: str = ""  # the metric in which it shows
    days: tuple[str, ...] = ()  # ISO dates of the first and the last day
    value: float = math.nan  # share or relative change in the arm
    rest: float = math.nan  # the same in the other arms
    detail: str = ""  # what it shows in, for people


def iso_date(day: int) -> str:
    """Format a day, counted since the epoch.

    >>> iso_date(20454)
    '2026-01-01'
    """
    return str(np.datetime64(day, "D"))


def find_faults(
    rows: Iterable[Mapping[str, Any]], days: Sequence[int], control: str
) -> Iterator[Finding]:
    """Find faults in the events of arms.

    Args:
        rows: Rows of `sql/ab/daily_sums.sql`, of all slices.
        days: The experiment's days, since the epoch.
        control: Name of the control.
    """
    sums: dict[Any, FloatArray] = defaultdict(lambda: np.zeros(len(SUMS)))
    for row in rows:
        key = row["signal"], row["arm"], row["day"]
        sums[key] += [row[name] for name in SUMS]
    arms = sorted({arm for _, arm, _ in sums})
    dates = tuple(map(iso_date, days))
    by_signal = {
        signal: {
            arm: np.array([sums[signal, arm, day] for day in days]) for arm in arms
        }
        for signal in (*_CHAINS, "zeros", *_RATIOS, "doubled events")
    }
    yield from _find_absent(by_signal["events"], dates)
    for arm, values in by_signal["doubled events"].items():
        events, doubled = values[:, 2], values[:, 1]
        faulty = (doubled > _MOST_DOUBLED * events).nonzero()[0]
        if doubled.sum() > _MOST_DOUBLED * events.sum():
            period = dates[faulty[0]], dates[faulty[-1]]
            share = float(doubled[faulty].sum() / events[faulty].sum())
            yield Finding("doubled events", arm, days=period, value=share)
    for signal in (*_CHAINS, "zeros", *_RATIOS):
        by_arm = by_signal[signal]
        factors = (cluster_factor(sums[signal, arm, None], by_arm[arm]) for arm in arms)
        yield from _find_shifts(by_arm, signal, control, dates, max(factors))


def find_table_faults(
    by_time: Sequence[Sequence[MetricMoments]], dates: tuple[str, ...], control: str
) -> Iterator[Finding]:
    """Find faults in aggregates: rows that stand still, jumps, and levels of newcomers.

    Args:
        by_time: The rows of each metric and arm, in the order of `dates`.
        dates: The times of the rows.
        control: Name of the control.
    """
    metrics: dict[str, dict[str, Sequence[MetricMoments]]] = defaultdict(dict)
    for rows in by_time:
        metrics[rows[0].metric][rows[0].arm] = rows
    for metric, by_arm in metrics.items():
        yield from _find_jumps(metric, by_arm, dates, control)
        yield from _find_frozen(metric, by_arm, dates[-1:])
        newcomers = {
            arm: np.diff([_sums(row.moments) for row in rows], axis=0, prepend=0.0)
            for arm, rows in by_arm.items()
        }
        # a row of totals that is wrong and corrected makes two days
        yield from _find_shifts(newcomers, metric, control, dates, wrong_days=2)


def find_past_differences(
    measurements: Mapping[str, Mapping[str, Moments]], analysis: InterimAnalysis
) -> Iterator[Finding]:
    """Find arms whose listeners differed from the control's before the experiment.

    Args:
        measurements: Moments of primary metrics by arm, the control first.
        analysis: The rule that decides, by which p-values are valid.
    """
    for metric, by_arm in measurements.items():
        control, *arms = by_arm
        for arm in arms:
            if PAST.numerator not in by_arm[arm].names:
                continue  # a table
            effect = effects.compare_moments(by_arm[control], by_arm[arm], PAST)
            past = analysis.widen(effect)
            level = THRESHOLD / len(arms) / len(measurements)
            if past.standard_error > 0 and past.p_value < level:
                change = past.relative.value
                yield Finding("past difference", arm, metric, value=change)


def find_cautions(
    arrivals: Mapping[str, Sequence[int]],
    days: Sequence[int],
    shares: Mapping[str, float],
    periods: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[Finding]:
    """Find cautions for readers: days with another sample ratio, changed recommenders.

    Args:
        arrivals: New listeners of each day by arm.
        days: The days, since the epoch.
        shares: Shares of the listeners by arm.
        periods: Recommenders with their first day by arm: `periods` of `sql/ab/arms.sql`.
    """
    yield from find_daily_ratios(arrivals, tuple(map(iso_date, days)), shares)
    for arm, recommenders in periods.items():
        for before, after in pairwise(recommenders):
            until, since = iso_date(after["day"] - 1), iso_date(after["day"])
            detail = f"{before['recommender']} until {until}, "
            detail += f"{after['recommender']} since {since}"
            yield Finding(
                "changed recommender", arm, days=(until, since), detail=detail
            )


def find_daily_ratios(
    arrivals: Mapping[str, Sequence[int]],
    dates: tuple[str, ...],
    shares: Mapping[str, float],
) -> Iterator[Finding]:
    """Find days on which the arms do not have their shares of the new listeners."""
    daily = [
        dict(zip(arrivals, counts, strict=True))
        for counts in zip(*arrivals.values(), strict=True)
    ]
    for date, ratio in zip(dates, check_by_day(daily, shares), strict=True):
        if ratio.mismatch:
            sizes = (f"{arm} {size:,}" for arm, size in ratio.observed.items())
            yield Finding(
                "sample ratio by day", "", days=(date,), detail=", ".join(sizes)
            )


def jumps(
    control_before: Moments, arm_before: Moments, control: Moments, arm: Moments
) -> bool:
    """Check for an effect too far from the analysis before to be explained by new values.

    With s for the old values' share, z standard errors before are expected to become z √s without
    an effect, and z / √s with an effect.
    """
    pairs = ((control_before, arm_before), (control, arm))
    compared = [effects.compare_moments(*arms, RATIO) for arms in pairs]
    if not all(effect.standard_error > 0 for effect in compared):
        return False
    before, now = (row.absolute.value / row.standard_error for row in compared)
    old, new = (
        sum(moments.sum_of_squares(RATIO.numerator) for moments in arms)
        for arms in pairs
    )
    share = min(1.0, old / new)
    low, high = sorted((before * math.sqrt(share), before / math.sqrt(share)))
    distance = max(low - now, now - high)
    return distance > max(_LEAST_JUMP, _MOST_DEVIATIONS * math.sqrt(1 - share))


def _find_absent(
    by_arm: Mapping[str, FloatArray], dates: tuple[str, ...]
) -> Iterator[Finding]:
    """Find arms without listeners on days on which some are expected."""
    active = np.array([values[:, 0] for values in by_arm.values()])
    expected = np.outer(active.sum(axis=1), active.sum(axis=0)) / active.sum()
    for arm, is_absent in zip(
        by_arm, (active == 0) & (expected >= SURELY_SOME), strict=True
    ):
        absent = is_absent.nonzero()[0]
        if len(absent):
            ends = dict.fromkeys((dates[absent[0]], dates[absent[-1]]))
            yield Finding("absent arm", arm, days=tuple(ends))


def _find_shifts(
    by_arm: Mapping[str, FloatArray],
    signal: str,
    control: str,
    dates: tuple[str, ...],
    factor: float = 1.0,
    wrong_days: int = 1,
) -> Iterator[Finding]:
    """Find levels that moved as no treatment moves them: `SUMS` by arm, shape (days, 6)."""
    in_logarithms = signal not in (*_CHAINS, "zeros")
    level = THRESHOLD / len(by_arm)
    total = np.sum([*by_arm.values()], axis=0)
    for arm, values in by_arm.items():
        rest = total - values
        shift = find_shift(
            values, rest, factor, in_logarithms=in_logarithms, wrong_days=wrong_days
        )
        is_fault = shift is not None and (
            shift.p_value < level
            and abs(shift.change) >= max(_LEAST_SHIFT, 2 * abs(shift.rest_change))
            and (
                arm == control
                or signal in _CHAINS
                or (shift.change < _NOTHING if in_logarithms else shift.level > _ALL)
            )
        )
        if not is_fault and signal in _CHAINS:
            shift = find_shift(values, rest, factor, from_start=True)
            is_fault = shift is not None and (
                shift.p_value < level
                and shift.rest <= _INTACT
                and shift.level >= shift.rest + _LEAST_EXCESS
            )
        if not shift or not is_fault:
            continue
        period = dates[shift.day], dates[shift.last]
        if in_logarithms:
            detail = _RATIOS.get(signal, "")
            moved, rest = map(math.expm1, (shift.change, shift.rest_change))
            metric = "" if detail else signal
            yield Finding("level shift", arm, metric, period, moved, rest, detail)
        else:
            reason = cast("Distrust", signal)
            yield Finding(reason, arm, "", period, shift.level, shift.rest)


def _find_jumps(
    metric: str,
    by_arm: Mapping[str, Sequence[MetricMoments]],
    dates: tuple[str, ...],
    control: str,
) -> Iterator[Finding]:
    """Find effects that jump in the last row, or with a step of the control that stays."""
    moments = {arm: [row.moments for row in rows] for arm, rows in by_arm.items()}
    base = moments.pop(control, [])
    for arm, rows in moments.items():
        levels = np.array([_logarithms(base), _logarithms(rows)])
        effect = levels[1] - levels[0]
        for row in range(1, len(rows)):
            if not jumps(base[row - 1], rows[row - 1], base[row], rows[row]):
                continue
            steps = levels[:, row] - levels[:, row - 1]
            moved, rest = np.expm1(steps).tolist()
            # the row before may be a wrong row that was corrected
            stays = effect[-1] - np.median(effect[:row])
            if (
                abs(steps[0]) >= max(_LEAST_SHIFT, 2 * abs(steps[1]))
                and stays / (effect[row] - effect[row - 1]) >= _STAYING
            ):
                days = dates[row], dates[-1]
                yield Finding("level shift", control, metric, days, moved, rest)
            if row == len(rows) - 1:
                yield Finding("jump", arm, metric, dates[-1:], rest, moved)


def _logarithms(rows: Iterable[Moments]) -> FloatArray:
    """Take the logarithms of a metric's size; NaN for 0."""
    values = np.abs([row.mean(RATIO) for row in rows])
    return np.log(np.where(values > 0, values, np.nan))


def _find_frozen(
    metric: str, by_arm: Mapping[str, Sequence[MetricMoments]], date: tuple[str, ...]
) -> Iterator[Finding]:
    """Find last rows that stand still though newcomers are due."""
    last = {arm: rows[-2:] for arm, rows in by_arm.items() if len(rows) > 1}
    for (arm, (before, row)), (other_before, other) in product(
        last.items(), last.values()
    ):
        newcomers = other.listeners - other_before.listeners
        is_due = newcomers * row.listeners >= SURELY_SOME * other.listeners
        is_still = (row.moments.means == before.moments.means).all()
        if is_due and is_still and row.listeners == before.listeners:
            yield Finding("frozen row", arm, metric, date)


def _sums(moments: Moments) -> FloatArray:
    """Compute `SUMS` from the moments of a mean or ratio."""
    count, means = moments.count, moments.means[:2]
    squares = moments.covariances[:2, :2] * max(0, count - 1)
    squares = squares + count * np.outer(means, means)
    return np.array([count, *(count * means), *squares[np.triu_indices(2)]])
