"""Detect the day from which the level of one arm differs from before, relative to the other arms.

The level of an arm on a day is a ratio of sums over its listeners, such as broken chains per track.
The arm is compared with the other arms within each day, so neither weekdays nor changing shares of
the listeners look like a shift. Any day so far may be the first of the new level, and any day may
be the last of the data: with n days, each of the n candidates is tested at level / (n² (n + 1)).
All tests over all n share the level (Bonferroni, as 1 / (n (n + 1)) adds up to 1), so it holds
however often the data are analysed. A shift lasts: a single exceptional day is not a shift.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from looplib.arrays import BoolArray, FloatArray

# the columns of a day: listeners, sums over them of the level's numerator and denominator, of their
# squares and of their product
SUMS = ("listeners", "part", "whole", "part_square", "product", "whole_square")
# a level below this share of the usual level counts as it, so that logarithms stay finite
_NEXT_TO_NOTHING = 0.02


@dataclass(frozen=True)
class LevelShift:
    """A lasting shift in the level of an arm."""

    day: int  # index of the first day at the new level, 0 if there was no other before
    last: int  # index of the last day
    level: float  # mean level of the arm since then
    rest: float  # mean level of the other arms since then
    change: float  # change of the arm's level, a difference or that of logarithms
    rest_change: float  # change of the level of the other arms
    p_value: float  # p-value of no shift, valid at any time


def find_shift(
    arm: FloatArray,
    rest: FloatArray,
    clustering: float = 1.0,
    *,
    in_logarithms: bool = False,
    from_start: bool = False,
    wrong_days: int = 1,
) -> LevelShift | None:
    """Find the most significant shift in the level of an arm, by Student's t test.

    Args:
        arm: Daily sums of the arm, with the columns `SUMS`; shape (days, 6).
        rest: Daily sums of the other arms together, shape (days, 6).
        clustering: Factor that enlarges the squared errors of days, as listeners come on several
            days.
        in_logarithms: True to compare levels by their ratio, False by their difference.
        from_start: True to test whether the level differs since the first day, instead of a shift.
        wrong_days: Number of consecutive days that may be wrong without a shift: a wrong row of
            totals that is corrected later makes two.

    Returns:
        The shift; None without two days on which both sides have several listeners.
    """
    pair = np.array([arm, rest])
    is_enough = (pair[..., 0] > 1) & (pair[..., 2] > 0)
    days = np.flatnonzero(is_enough.all(axis=0))
    pair = pair[:, days]
    count = len(days)
    usual = float(pair[..., 1].sum() / pair[..., 2].sum()) if count > 1 else 0.0
    if not usual > 0:
        return None
    listeners, parts, wholes = np.moveaxis(pair, 2, 0)[:3]
    levels = parts / wholes
    # a day on which all listeners are alike is not certain: one more may differ
    one_more = usual * wholes / listeners if in_logarithms else 1.0
    residuals = np.maximum(0.0, _residuals(pair, levels)) + np.square(one_more)
    squared_errors = clustering * residuals / wholes**2
    least = _NEXT_TO_NOTHING * usual if in_logarithms else 0.0

    def split(before: BoolArray, since: BoolArray) -> tuple[FloatArray, ...]:
        """Compare the days before a candidate day with the days since, one candidate for each row.

        Returns:
            Levels since and their changes, shape (2, rows); the squared shift in standard errors
            and its degrees of freedom, shape (rows,).
        """
        means, squares, sizes = [], [], []
        for days in (before, since):
            weights = days / (1 / listeners).sum(axis=0)
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
            mean, square = levels @ weights.T, squared_errors @ (weights**2).T
            if least:
                mean = np.maximum(mean, least)
                square, mean = square / mean**2, np.log(mean)
            means.append(mean)
            squares.append(square.sum(axis=0))
            sizes.append(days @ listeners.min(axis=0))
        if from_start:
            sizes[0] = sizes[1]
        changes = means[1] - means[0]
        shifts = np.square(changes[0] - changes[1]) / sum(squares)
        return means[1], changes, shifts, np.minimum(*sizes) - 1

    first, order = 0, np.arange(count)
    if not from_start:
        starts = order[1:, np.newaxis]
        *_, shifts, _ = split(order < starts, order >= starts)
        first = 1 + int(np.argmax(shifts))
    is_since = order >= first
    # all days but some in a row, whichever these are
    age = order[:, np.newaxis] - order
    is_right = (age > 0) | (age <= -wrong_days)
    before, since = ~is_since & is_right, is_since & is_right
    before[~before.any(axis=1)] = ~is_since  # there are no other days
    *_, shifts, degrees = split(before, since)
    p_values = 2 * special.stdtr(np.maximum(degrees, 1), -np.sqrt(shifts))
    p_values[~since.any(axis=1)] = 1.0  # the days may all be wrong
    (level, rest_level), (change, rest_change), *_ = split(
        ~is_since[np.newaxis], is_since[np.newaxis]
    )
    if least:
        level, rest_level = np.exp(level), np.exp(rest_level)
    return LevelShift(
        day=int(days[first]),
        last=int(days[-1]),
        level=level.item(),
        rest=rest_level.item(),
        change=change.item(),
        rest_change=rest_change.item(),
        p_value=min(1.0, float(p_values.max()) * count**2 * (count + 1)),
    )


def cluster_factor(total: FloatArray, days: FloatArray) -> float:
    """Compute the factor that corrects daily squared errors for listeners who come on several days.

    Args:
        total: Sums of an arm over listeners, each with their sums over all days, shape (6,).
        days: Sums of the arm on each day, shape (days, 6).
    """
    level = np.asarray(total[1] / max(total[2], 1e-300))
    by_day = float(_residuals(days.sum(axis=0), level))
    return max(1.0, float(_residuals(total, level)) / by_day) if by_day > 0 else 1.0


def _residuals(sums: FloatArray, level: FloatArray) -> FloatArray:
    """Sum the squared deviations of listeners' numerators from a level."""
    squares = sums[..., 3] - 2 * level * sums[..., 4] + level**2 * sums[..., 5]
    return np.asarray(squares)
