"""Find the day from which an arm stands at another level than before, beside the other arms.

The level of an arm on a day is a ratio of sums over its listeners, such as broken chains by tracks.
The arm is compared with the others within each day, so neither weekdays nor changing shares of the
listeners make a shift. Every day so far may be the first of the new level, and every day may be
the last of the data: with n days, each of n candidates is tested at level / (n² (n + 1)). All of
them, over all n, share the level (Bonferroni, as 1 / (n (n + 1)) adds up to 1), so it holds however
often the data are analysed.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from looplib.arrays import FloatArray

# the columns of a day: listeners, sums over them of the level's numerator and denominator, of their
# squares and of their product
SUMS = ("listeners", "part", "whole", "part_square", "product", "whole_square")
# a level below this share of the usual level counts as it, so that logarithms stay finite
_NEXT_TO_NOTHING = 0.01


@dataclass(frozen=True)
class LevelShift:
    """A shift in the level of an arm."""

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
) -> LevelShift | None:
    """Find the most significant shift in the level of an arm, by Student's test.

    Args:
        arm: `SUMS` of the arm, shape (days, 6).
        rest: `SUMS` of the other arms together, shape (days, 6).
        clustering: Factor of the squared errors by day, for listeners who come on several days.
        in_logarithms: Whether levels are compared by their ratio, or by their difference.
        from_start: Whether to test that the level is another since the first day, and no shift.

    Returns:
        The shift; None without two days on which both have several listeners.
    """
    pair = np.array([arm, rest])
    is_compared = (pair[..., 0] > 1) & (pair[..., 2] > 0)
    days = np.flatnonzero(is_compared.all(axis=0))
    pair = pair[:, days]
    listeners, parts, wholes = np.moveaxis(pair, 2, 0)[:3]
    count = len(days)
    usual = float(parts.sum() / wholes.sum()) if count > 1 else 0.0
    if not usual > 0:
        return None
    levels = parts / wholes
    # a day on which all listeners are alike is not certain: one more may differ
    one_more = usual * wholes / listeners if in_logarithms else 1.0
    residuals = np.maximum(0.0, _residuals(pair, levels)) + np.square(one_more)
    squared_errors = clustering * residuals / wholes**2
    weights = 1 / (1 / listeners).sum(axis=0)
    # weights of the days before each candidate and since, shape (candidates, days)
    sides = np.tri(count, k=-1), np.triu(np.ones((count, count)))
    fewest = np.minimum(*(side @ listeners.min(axis=0) for side in sides))
    fewest[0] = listeners.min(axis=0).sum()
    before, since = (
        side * weights / np.maximum((side @ weights)[:, np.newaxis], 1e-300)
        for side in sides
    )
    # levels and their squared errors before and since, shape (arms, candidates)
    means = [levels @ side.T for side in (before, since)]
    squares = [squared_errors @ np.square(side).T for side in (before, since)]
    if in_logarithms:
        raised = [np.maximum(mean, _NEXT_TO_NOTHING * usual) for mean in means]
        squares = [
            square / mean**2 for square, mean in zip(squares, raised, strict=True)
        ]
        changes = np.log(raised[1] / raised[0])
    else:
        changes = means[1] - means[0]
    total_square = (squares[0] + squares[1]).sum(axis=0)
    squares_apart = np.square(changes[0] - changes[1]) / total_square
    degrees = np.maximum(1.0, fewest - 1)
    # nearly the squared normal quantile of Student's p-value, which may be too small for a float
    evidence = degrees * np.log1p(squares_apart / degrees)
    first = 0 if from_start else 1 + int(np.argmax(evidence[1:]))
    p_value = 2 * special.stdtr(degrees[first], -math.sqrt(squares_apart[first]))
    level, rest_level = means[1][:, first].tolist()
    change, rest_change = changes[:, first].tolist()
    return LevelShift(
        day=int(days[first]),
        last=int(days[-1]),
        level=level,
        rest=rest_level,
        change=change,
        rest_change=rest_change,
        p_value=min(1.0, float(p_value) * count**2 * (count + 1)),
    )


def cluster_factor(total: FloatArray, days: FloatArray) -> float:
    """Compute the factor of squared errors by day, for listeners who come on several days.

    Args:
        total: `SUMS` of an arm over its listeners, each with the sums of all days, shape (6,).
        days: `SUMS` of its days, shape (days, 6).
    """
    level = total[1] / total[2] if total[2] else 0.0
    by_day = float(_residuals(days.sum(axis=0), level))
    return max(1.0, float(_residuals(total, level)) / by_day) if by_day > 0 else 1.0


def _residuals(sums: FloatArray, level: FloatArray | float) -> FloatArray:
    """Sum up the squared deviations of listeners' numerators from a level."""
    squares = sums[..., 3] - 2 * level * sums[..., 4] + level**2 * sums[..., 5]
    return np.asarray(squares)
