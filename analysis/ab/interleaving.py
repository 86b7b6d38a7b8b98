"""Interleaved recommenders: whose tracks the same listeners hear for longer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.ab.interim import InterimAnalysis
from analysis.statistics.effects import Interval
from analysis.statistics.moments import Moments, Quantity
from looplib.experiments import members

_FIRST = Quantity("first_time", "first_tracks")
_SECOND = Quantity("second_time", "second_tracks")


@dataclass(frozen=True)
class Preference:
    """The preference of listeners between two interleaved recommenders."""

    arm: str  # the arm that has them
    first: str  # the recommender that the second is compared with
    second: str
    listeners: int  # listeners with a credited track
    # change from the first's tracks to the second's, in %, by the interval that decides
    effect: Interval
    preferred: str | None  # the recommender whose tracks are surely heard for longer


def preferences(
    credited: Mapping[str, Moments],
    recommenders: Mapping[str, str | None],
    analysis: InterimAnalysis,
) -> tuple[Preference, ...]:
    """Compare the recommenders of every arm that interleaves two.

    The listening time of a track is compared. Both recommenders share the rest of a session, so a
    recommender that keeps listeners for longer, or tires them, is not credited for it.

    Args:
        credited: Moments of `sql/ab/credited.sql` by arm.
        recommenders: Recommenders of the arms.
        analysis: The rule that decides.
    """
    return tuple(
        compare_pair(arm, pair, moments, analysis)
        for arm, moments in credited.items()
        if len(pair := members(recommenders.get(arm) or "")) == 2
        and moments.count > 1
        and moments.means.all()
    )


def compare_pair(
    arm: str,
    pair: Sequence[str],
    moments: Moments,
    analysis: InterimAnalysis,
) -> Preference:
    """Compare two ratios of the same listeners by the logarithm of their quotient.

    Its variance is by the delta method over listeners. The columns are those of
    `sql/ab/credited.sql`.
    """
    count = moments.count
    log_ratio, squared_error = moments.log_ratio(_FIRST, _SECOND)
    error = math.sqrt(squared_error)
    half_width = error * analysis.errors(analysis.config.alpha, count)
    ends = (log_ratio, log_ratio - half_width, log_ratio + half_width)
    effect = Interval(*(100 * math.expm1(end) for end in ends))
    first, second = pair
    better = second if log_ratio > 0 else first
    preferred = better if effect.excludes_zero else None
    return Preference(arm, first, second, count, effect, preferred)
