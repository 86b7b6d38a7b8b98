"""`listening-loop aa`: false positives and coverage of the statistics on a real log.

These are A/A tests. Listeners are split again and again by the service's hash under new salts, and
compared although they were treated alike. A test at level alpha must then reject in a share alpha
of the splits, its p-values must be uniform, and with an effect injected into one arm the 95 %
intervals must cover it in 95 % of them (Kohavi, Tang & Xu, Trustworthy Online Controlled
Experiments, 2020, ch. 19).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from looplib.arrays import BoolArray, FloatArray
from looplib.cli import importing, make_app, run

with importing():
    import mmh3
    import numpy as np
    import pyarrow as pa
    from scipy import stats

    from analysis import planning
    from analysis.ab.metrics import Metric
    from analysis.errors import AnalysisError
    from analysis.statistics.effects import CONFIDENCE, Interval, compare_moments
    from analysis.statistics.moments import Moments

ALPHA = 1 - CONFIDENCE
# chance that one of the three checks fails when all is well: one of the three in 1 of 1,000 systems
_ALARM = 0.001 / 3
_FEWEST = 20  # listeners

PROG = "listening-loop aa"
GONE = {"--scheduler": "a thousand splits take seconds in this process; leave it out"}

app = make_app(
    "Split a log's listeners into two equal arms many times, "
    "and report how often that looks like an effect."
)


@app.command(
    epilog="Example: listening-loop aa out/demo/log --runs 1000 "
    "--metric mean_time_per_session --effect 3%"
)
def main(
    logs: planning.Logs,
    runs: Annotated[int, typer.Option(min=1, help="How often to split.")] = 1000,
    metric: Annotated[str, typer.Option(help="What is compared.")] = (
        "mean_time_per_session"
    ),
    effect: Annotated[
        str,
        typer.Option(help="The effect that is injected for the coverage, such as 3%."),
    ] = "3%",
    out: planning.OutFile = None,
) -> None:
    """Split and compare."""
    injected = planning.parse_effect(effect)
    values = planning.read_values(logs, metric)
    report = check(*values, runs=runs, effect=injected)
    planning.answer(report, describe(report), out)


@dataclass(frozen=True)
class AAReport:
    """How the statistics did.

    Intervals are what chance allows a count in all but 1 of 3,000 cases (binomial).
    """

    metric: str
    runs: int  # splits
    listeners: int  # listeners with a value
    rejections: Interval  # splits with a p-value below 5 %
    # p-value of the Kolmogorov-Smirnov test that the p-values are uniform
    uniformity_p: float
    effect: float  # the injected relative effect
    covered: Interval  # splits whose 95 % interval of the relative effect covers it
    # rejections and coverage are in their intervals, and the p-values look uniform
    as_expected: bool


def check(
    metric: Metric,
    rows: pa.Table,
    *,
    runs: int,
    effect: float = 0.03,
) -> AAReport:
    """Split listeners into two arms many times, and count what looks like an effect on a metric.

    Split number n has the salt "aa-<n>".

    Raises:
        AnalysisError: There are too few listeners.
    """
    values = metric.values({name: rows[name].to_numpy() for name in metric.sums})
    known = rows.filter(pa.array(~np.isnan(values)))
    if len(known) < _FEWEST:
        raise AnalysisError(
            f"{len(known)} listeners have a {metric.name}; at least {_FEWEST} are needed"
        )
    salts = [f"aa-{number}" for number in range(runs)]
    p_values, lower, upper = split(metric, known, salts, effect).T
    if np.isnan(p_values).any() or np.isnan(lower).any():
        raise AnalysisError(
            f"metric {metric.name}: it is 0 or the same for all listeners of an arm, "
            "so nothing can be tested"
        )
    rejections = _count(p_values < ALPHA, ALPHA)
    covered = _count((lower <= effect) & (effect <= upper), CONFIDENCE)
    as_chance_allows = all(
        count.lower <= count.value <= count.upper for count in (rejections, covered)
    )
    uniformity_p = float(stats.kstest(p_values, "uniform").pvalue)
    return AAReport(
        metric=metric.name,
        runs=runs,
        listeners=len(known),
        rejections=rejections,
        uniformity_p=uniformity_p,
        effect=effect,
        covered=covered,
        as_expected=as_chance_allows and uniformity_p >= _ALARM,
    )


def describe(report: AAReport) -> str:
    """Return the report as lines for the terminal."""
    rejections, covered = report.rejections, report.covered
    result = "NOT as expected: do not trust intervals of this metric"
    if report.as_expected:
        result = "all as expected"
    return (
        f"{report.metric}: {report.listeners:,} listeners split {report.runs:,} times "
        "into two equal arms\n"
        f"false positives  {rejections.value} of {report.runs:,} at 5 %; "
        f"chance allows {rejections.lower} to {rejections.upper}\n"
        f"p-values         uniform with p = {report.uniformity_p:.3f} "
        f"(Kolmogorov-Smirnov; not below {_ALARM:.4f})\n"
        f"coverage         {covered.value} of {report.runs:,} 95 % intervals hold the injected "
        f"{100 * report.effect:+.4g} %; chance allows {covered.lower} to {covered.upper}\n"
        f"{result}"
    )


def in_control(users: Sequence[bytes], salt: str) -> BoolArray:
    """Return which users are in the first of two equal arms by the service's rule.

    Users are given in decimal digits.
    """
    seed = mmh3.hash(salt, signed=False)
    hashes = [mmh3.mmh3_32_uintdigest(user, seed) for user in users]
    return np.asarray(np.array(hashes) % 2 == 0)


def split(
    metric: Metric, rows: pa.Table, salts: Sequence[str], effect: float
) -> FloatArray:
    """Compare a metric of two arms under each salt, without and with an effect on the second.

    With the effect, every listener's numerator is multiplied by 1 + effect, and
    so is the metric.

    Returns:
        For each split the p-value without the effect, and the ends of the relative effect's
        interval with it; shape (splits, 3).
    """
    users = [str(user).encode() for user in rows["user"].to_pylist()]
    columns = {name: rows[name].to_numpy() for name in metric.sums}
    numerator = metric.sums[0]
    changed = columns | {numerator: columns[numerator] * (1 + effect)}
    found = []
    for salt in salts:
        is_control = in_control(users, salt)
        control = _moments(metric, columns, is_control)
        same = _moments(metric, columns, ~is_control)
        better = _moments(metric, changed, ~is_control)
        plain = compare_moments(control, same, metric.quantity)
        interval = compare_moments(control, better, metric.quantity).relative
        found.append((plain.p_value, interval.lower, interval.upper))
    return np.array(found)


def _moments(
    metric: Metric, columns: Mapping[str, FloatArray], members: BoolArray
) -> Moments:
    """Return the moments of a metric over some of the listeners."""
    return metric.moments({name: values[members] for name, values in columns.items()})


def _count(shown: BoolArray, chance: float) -> Interval:
    """Return how many splits show something, and between how many it should be."""
    lower, upper = stats.binom.interval(1 - _ALARM, len(shown), chance)
    return Interval(int(np.count_nonzero(shown)), int(lower), int(upper))


if __name__ == "__main__":
    raise SystemExit(run(app, PROG, gone=GONE))
