"""Interleaved recommenders: whose tracks the same listeners hear for longer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc
from scipy import special

from analysis import queries
from analysis.ab.effects import RelativeEffect, relative_effect
from analysis.ab.looks import Look
from analysis.page import numbers
from analysis.statistics.effects import NO_INTERVAL, Effect, Estimate, Interval, p_value
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray
from looplib.experiments import members

_FIRST = Quantity("first_time", "first_tracks")
_SECOND = Quantity("second_time", "second_tracks")


@dataclass(frozen=True)
class Preference:
    """Which of two interleaved recommenders listeners prefer."""

    arm: str  # the arm that has them
    first: str  # the recommender that the second is compared with
    second: str
    listeners: int  # with a credited track
    first_tracks: int  # tracks credited to the first
    second_tracks: int
    first_time: float  # mean share heard of one
    second_time: float
    # of the second's tracks on the first's, in %, by the interval that decides
    effect: RelativeEffect
    preferred: str | None  # the one whose tracks are surely heard for longer

    def __str__(self) -> str:
        """What was found, in one sentence."""
        result = "neither is preferred so far"
        if self.preferred:
            result = f"{self.preferred} is preferred"
        pair = f"{self.first} and {self.second}"
        change = numbers.change(self.effect.effect_pct)
        ends = numbers.interval(self.effect.lower_pct, self.effect.upper_pct)
        what = f"what is heard of {self.second}'s tracks differs by {change} ({ends})"
        return f"{self.arm} interleaves {pair}: {result}; {what}"


def preferences(
    connection: queries.Connection,
    recommenders: Mapping[str, str],
    arms: Sequence[str],
    look: Look,
) -> tuple[Preference, ...]:
    """Compare the recommenders of every arm that interleaves two, from the table `credited`.

    It compares what is heard of a track. What the tracks do to the rest of a session is shared by
    both: a recommender that keeps listeners for longer, or that tires them when heard alone, is not
    credited for it.
    """
    found = []
    credited = connection.table("credited").to_arrow_table()
    for arm in arms:
        pair = members(recommenders.get(arm, ""))
        if len(pair) == 1:
            continue
        rows = credited.filter(pc.field("arm") == arm).sort_by("user")
        columns = {name: rows[name].to_numpy() for name in rows.column_names[2:]}
        if len(rows) > 1 and all(column.any() for column in columns.values()):
            found.append(compare_pair(arm, pair, columns, look))
    return tuple(found)


def compare_pair(
    arm: str,
    pair: tuple[str, ...],
    columns: Mapping[str, FloatArray],
    look: Look,
) -> Preference:
    """Compare two ratios of the same listeners by the logarithm of their quotient.

    Its variance is by the delta method over listeners. The columns are those of
    `sql/ab/credited.sql`, each of shape (listeners,).
    """
    moments = Moments.of(columns)
    count = moments.count
    before = moments.mean(_FIRST)
    after = moments.mean(_SECOND)
    # relative variances and covariance of one listener's shares
    variance = moments.variance(_FIRST) / before**2
    variance += moments.variance(_SECOND) / after**2
    variance -= 2 * moments.covariance(_FIRST, _SECOND) / (before * after)
    error = math.sqrt(max(0.0, variance) / count)
    log_ratio = math.log(after / before)
    half_width = -error * float(special.ndtri(look.config.alpha / 2))
    ends = (log_ratio, log_ratio - half_width, log_ratio + half_width)
    effect = Effect(
        control=Estimate(before, math.nan, count),
        arm=Estimate(after, math.nan, count),
        absolute=NO_INTERVAL,
        relative=Interval(*map(math.expm1, ends)),
        standard_error=error,
        p_value=p_value(log_ratio, error, math.inf),
    )
    effect = look.widen(effect, count)
    better = pair[1] if log_ratio > 0 else pair[0]
    return Preference(
        arm=arm,
        first=pair[0],
        second=pair[1],
        listeners=count,
        first_tracks=int(columns["first_tracks"].sum()),
        second_tracks=int(columns["second_tracks"].sum()),
        first_time=before,
        second_time=after,
        effect=relative_effect(effect),
        preferred=better if effect.relative.excludes_zero else None,
    )
