"""`listening-loop aa`: how often the statistics find an effect where there is none, on a real log.

Listeners are split again and again by the service's hash under new salts, and compared although
they were treated alike. A test at level alpha must then reject in a share alpha of the splits
(Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments, 2020, ch. 19).
"""

from collections.abc import Sequence
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
    from analysis.statistics.effects import CONFIDENCE, compare_moments

ALPHA = 1 - CONFIDENCE
_ALARM = 0.001  # chance that the check fails when all is well
_FEWEST = 20  # listeners

PROG = "listening-loop aa"
GONE = {
    "--scheduler": "a thousand splits take seconds in this process; leave it out",
    "--effect": "coverage is no longer measured; leave it out",
}

app = make_app(
    "Split a log's listeners into two equal arms many times, "
    "and report how often that looks like an effect."
)


@app.command(epilog="Example: listening-loop aa out/demo/log --metric time")
def main(
    logs: planning.Logs,
    runs: Annotated[int, typer.Option(min=1, help="How often to split.")] = 1000,
    metric: Annotated[str, typer.Option(help="What is compared.")] = (
        "mean_time_per_session"
    ),
    out: planning.OutFile = None,
) -> None:
    """Split and compare."""
    report = check(*planning.read_values(logs, metric), runs=runs)
    planning.answer(report, describe(report), out)


@dataclass(frozen=True)
class AAReport:
    """How the statistics did."""

    metric: str
    runs: int  # splits
    listeners: int  # listeners with a value
    rejected: int  # splits with a p-value below 5 %
    # between how many that is when all is well, in all but 1 of 1,000 cases (binomial)
    fewest: int
    most: int

    @property
    def as_expected(self) -> bool:
        """Whether there are as many rejections as chance allows."""
        return self.fewest <= self.rejected <= self.most


def check(metric: Metric, rows: pa.Table, *, runs: int) -> AAReport:
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
    p_values = split(metric, known, [f"aa-{number}" for number in range(runs)])
    varies = metric.shares({name: known[name].to_numpy() for name in metric.sums})
    if np.isnan(p_values).any() or not varies.any():
        raise AnalysisError(
            f"metric {metric.name}: it is 0 or the same for all listeners of an arm, "
            "so nothing can be tested"
        )
    fewest, most = stats.binom.interval(1 - _ALARM, runs, ALPHA)
    rejected = int(np.count_nonzero(p_values < ALPHA))
    return AAReport(metric.name, runs, len(known), rejected, int(fewest), int(most))


def describe(report: AAReport) -> str:
    """Return the report as lines for the terminal."""
    result = "as expected"
    if not report.as_expected:
        result = "NOT as expected: do not trust intervals of this metric"
    return (
        f"{report.metric}: {report.listeners:,} listeners split {report.runs:,} times "
        "into two equal arms\n"
        f"false positives at 5 %: {report.rejected} of {report.runs:,}; "
        f"chance allows {report.fewest} to {report.most}: {result}"
    )


def in_control(users: Sequence[bytes], salt: str) -> BoolArray:
    """Return which users are in the first of two equal arms by the service's rule.

    Users are given in decimal digits.
    """
    seed = mmh3.hash(salt, signed=False)
    hashes = [mmh3.mmh3_32_uintdigest(user, seed) for user in users]
    return np.asarray(np.array(hashes) % 2 == 0)


def split(metric: Metric, rows: pa.Table, salts: Sequence[str]) -> FloatArray:
    """Return the p-values of a metric between two arms under each salt, shape (salts,)."""
    users = [str(user).encode() for user in rows["user"].to_pylist()]
    columns = {name: rows[name].to_numpy() for name in metric.sums}
    p_values = []
    for salt in salts:
        is_control = in_control(users, salt)
        control, arm = (
            metric.moments({name: values[side] for name, values in columns.items()})
            for side in (is_control, ~is_control)
        )
        p_values.append(compare_moments(control, arm, metric.quantity).p_value)
    return np.array(p_values)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG, gone=GONE))
