"""Effects on quantiles of the latency, which are of requests, while it is listeners who are drawn by chance.

The interval of a quantile is Woodruff's: that of the share of requests below it, turned back into latencies. Requests
of a listener are alike, so the share's variance is that of a ratio over groups of listeners (random groups).

Woodruff, Confidence Intervals for Medians and Other Position Measures, 1952. Wolter, Introduction to Variance
Estimation, 2007, chapter 2. Differences and ratios: Zou & Donner, Construction of Confidence Limits about Effect
Measures (MOVER), 2008.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis import queries
from analysis.statistics.effects import Interval
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray, IntArray

STEP = math.log(1.001)  # of `sql/ab/latencies.sql`
_SHARE = Quantity("below", "requests")


@dataclass(frozen=True, eq=False)
class Latencies:
    """Requests of an arm.

    Attributes:
        steps: Steps of latency that occur, ascending; step s is exp(s * STEP) ns and up to the next.
        requests: Shape (groups of listeners, steps).
    """

    steps: IntArray
    requests: FloatArray

    def quantile(self, share: float) -> float:
        """The latency in ms that this share of the requests stays below; NaN without requests."""
        counts = self.requests.sum(axis=0)
        total = counts.sum()
        if not total:
            return math.nan
        ends = np.cumsum(counts)
        place = min(int(np.searchsorted(ends, share * total)), len(counts) - 1)
        within = (share * total - (ends[place] - counts[place])) / counts[place]
        return math.exp((self.steps[place] + min(max(within, 0.0), 1.0)) * STEP) / 1e6

    def below(self, latency_ms: float) -> FloatArray:
        """Requests below a latency, of each group."""
        position = math.log(latency_ms * 1e6) / STEP
        weights = np.clip(position - self.steps, 0.0, 1.0)
        return np.asarray(self.requests @ weights, np.float64)


def read_latencies(connection: queries.Connection) -> dict[str, Latencies]:
    """The requests of each arm that has any, from the table `latencies`."""
    rows = queries.fetch_table(connection, "ab/total_latencies")
    arms = np.array(rows["arm"].to_pylist(), dtype=object)
    columns = [rows[name].to_numpy() for name in ("step", "listener_group", "requests")]
    return {arm: _of_arm(*(column[arms == arm] for column in columns)) for arm in sorted(set(arms.tolist()))}


@dataclass(frozen=True)
class QuantileEffect:
    """What an arm's quantile differs by.

    Attributes:
        control_ms: The control's.
        arm_ms: The arm's.
        absolute: Difference, ms.
        relative: Ratio - 1.
        p_value: Two-sided, of no difference.
    """

    control_ms: float
    arm_ms: float
    absolute: Interval
    relative: Interval
    p_value: float


def compare_quantiles(control: Latencies, arm: Latencies, share: float, confidence: float) -> QuantileEffect:
    """The effect on a quantile."""
    c, a = (_interval(one, share, confidence) for one in (control, arm))
    difference = a.value - c.value
    low, high = (
        math.hypot(*gaps) for gaps in ((a.value - a.lower, c.upper - c.value), (a.upper - a.value, c.value - c.lower))
    )
    logs_c, logs_a = _logarithm(c), _logarithm(a)
    ratio = logs_a.value - logs_c.value
    below = math.hypot(logs_a.value - logs_a.lower, logs_c.upper - logs_c.value)
    above = math.hypot(logs_a.upper - logs_a.value, logs_c.value - logs_c.lower)
    relative = Interval(math.exp(ratio) - 1, math.exp(ratio - below) - 1, math.exp(ratio + above) - 1)
    error = (below + above) / 2 / float(stats.norm.ppf((1 + confidence) / 2))
    p_value = (
        2 * float(stats.norm.sf(abs(ratio) / error))
        if error > 0
        else (math.nan if math.isnan(error) else float(ratio == 0))
    )
    return QuantileEffect(
        c.value, a.value, Interval(difference, difference - low, difference + high), relative, p_value
    )


def _of_arm(steps: IntArray, groups: IntArray, requests: IntArray) -> Latencies:
    known_steps, columns = np.unique(steps, return_inverse=True)
    known_groups, rows = np.unique(groups, return_inverse=True)
    matrix = np.zeros((len(known_groups), len(known_steps)))
    matrix[rows, columns] = requests
    return Latencies(known_steps, matrix)


def _interval(latencies: Latencies, share: float, confidence: float) -> Interval:
    value = latencies.quantile(share)
    groups = len(latencies.requests)
    if groups < 2:
        return Interval(value, math.nan, math.nan)
    moments = Moments.of({"below": latencies.below(value), "requests": latencies.requests.sum(axis=1)})
    error = math.sqrt(moments.variance(_SHARE) / groups)
    margin = error * float(stats.t.ppf((1 + confidence) / 2, groups - 1))
    return Interval(value, latencies.quantile(max(0.0, share - margin)), latencies.quantile(min(1.0, share + margin)))


def _logarithm(value: Interval) -> Interval:
    return Interval(math.log(value.value), math.log(value.lower), math.log(value.upper))
