"""`python -m analysis.aa`: whether the statistics keep their promises on the listeners of a real log.

Listeners are split again and again by the service's hash under new salts, and compared although they were treated
alike. A test at level alpha must then reject in a share alpha of the splits, its p-values must be uniform, and with an
effect injected into one arm the 95 % intervals must cover it in 95 % of them (Kohavi, Tang & Xu, Trustworthy Online
Controlled Experiments, 2020, ch. 19).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer
from scipy import stats

from analysis.errors import AnalysisError
from analysis.planning.listener_days import ListenerDays, find_metric, parse_effect, read_listener_days
from analysis.planning.parallel import run_all
from analysis.planning.splits import Splits, split
from analysis.statistics.effects import CONFIDENCE
from looplib.cli import make_app, run
from looplib.files import atomic_write

PROG = "python -m analysis.aa"
ALPHA = 1 - CONFIDENCE
BAND = 0.99  # chance that a count lies in its band when all is well
_KS_THRESHOLD = 0.001
_SPLITS_A_CALL = 50

app = make_app("Splits a log's listeners into equal arms many times, and reports how often that looks like an effect.")


@dataclass(frozen=True)
class Count:
    """How many splits show something, and how many should.

    Attributes:
        found: Splits that do.
        lower: Fewest that chance allows in 99 of 100 cases (binomial).
        upper: Most.
    """

    found: int
    lower: int
    upper: int

    @property
    def as_expected(self) -> bool:
        """Whether it is in the band."""
        return self.lower <= self.found <= self.upper


@dataclass(frozen=True)
class AAReport:
    """How the statistics did.

    Attributes:
        metric: The metric.
        runs: Splits.
        arms: Arms of each; the first two are compared.
        listeners: Listeners with a value.
        rejections: Splits with a p-value below 5 %.
        uniformity_p: P-value of the Kolmogorov-Smirnov test that the p-values are uniform.
        effect: The injected relative effect.
        covered: Splits whose 95 % interval of the relative effect covers it.
        detected: Share of the splits in which it was significant: the power at this size.
        as_expected: Whether rejections and coverage are in their bands, and the p-values look uniform.
    """

    metric: str
    runs: int
    arms: int
    listeners: int
    rejections: Count
    uniformity_p: float
    effect: float
    covered: Count
    detected: float
    as_expected: bool


@app.command(
    epilog="Example: python -m analysis.aa out/demo/log --runs 1000 --metric mean_time_per_session --effect 3%"
)
def main(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG…", help="Event logs, folders, patterns, or a session store.")
    ],
    runs: Annotated[int, typer.Option(min=1, help="How often to split.")] = 1000,
    metric: Annotated[str, typer.Option(help="What is compared.")] = "mean_time_per_session",
    effect: Annotated[str, typer.Option(help="The effect that is injected for the coverage, such as 3%.")] = "3%",
    arms: Annotated[int, typer.Option(min=2, help="Arms of equal size; the first two are compared.")] = 2,
    salt: Annotated[str, typer.Option(help="Other salts give other splits; the same ones give the same.")] = "aa",
    scheduler: Annotated[str | None, typer.Option(help="An existing Dask scheduler, such as tcp://host:8786.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this JSON file.")] = None,
) -> None:
    """Split and compare."""
    injected = parse_effect(effect)
    find_metric(metric)
    report = check(
        read_listener_days(logs), metric, runs=runs, arms=arms, effect=injected, salt=salt, scheduler=scheduler
    )
    if out:
        with atomic_write(out) as file:
            file.write(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    typer.echo("\n".join(describe(report)))


def check(
    days: ListenerDays,
    metric: str,
    *,
    runs: int,
    arms: int = 2,
    effect: float = 0.03,
    salt: str = "aa",
    scheduler: str | None = None,
) -> AAReport:
    """Splits listeners and counts what looks like an effect.

    Args:
        days: The listeners.
        metric: What is compared.
        runs: Splits.
        arms: Arms of each split.
        effect: Relative effect to inject.
        salt: Split number n is made under the salt "<salt>-<n>".
        scheduler: Where to run; None is here.

    Raises:
        AnalysisError: There is no such metric, too few listeners have a value, or the scheduler cannot be used.
    """
    sample = days.sample(find_metric(metric))
    listeners = len(sample.users)
    if listeners < 10 * arms:
        raise AnalysisError(f"{listeners} listeners have a {metric}; at least {10 * arms} are needed for {arms} arms")
    salts = [f"{salt}-{number}" for number in range(runs)]
    calls = [(sample, salts[start : start + _SPLITS_A_CALL], arms, effect) for start in range(0, runs, _SPLITS_A_CALL)]
    splits = _join(run_all(split, calls, scheduler))
    if np.isnan(splits.p_values).any() or np.isnan(splits.lower).any():
        raise AnalysisError(
            f"metric {metric}: it is 0 or the same for all listeners of an arm, so nothing can be tested"
        )
    return _report(metric, splits, arms, listeners, effect)


def describe(report: AAReport) -> list[str]:
    """The report in lines for people."""
    rejections, covered = report.rejections, report.covered
    return [
        f"{report.metric}: {report.listeners:,} listeners split {report.runs:,} times into {report.arms} equal arms",
        f"false positives  {rejections.found} of {report.runs:,} at 5 %; "
        f"chance allows {rejections.lower} to {rejections.upper}",
        f"p-values         uniform with p = {report.uniformity_p:.3f} (Kolmogorov-Smirnov; not below {_KS_THRESHOLD})",
        f"coverage         {covered.found} of {report.runs:,} 95 % intervals hold the injected {report.effect:+.1%}; "
        f"chance allows {covered.lower} to {covered.upper}",
        f"power            the injected effect was significant in {report.detected:.1%} of the splits",
        "all as expected" if report.as_expected else "NOT as expected: do not trust intervals of this metric",
    ]


def _join(parts: Sequence[Splits]) -> Splits:
    names = ("p_values", "effect_p_values", "lower", "upper")
    return Splits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _report(metric: str, splits: Splits, arms: int, listeners: int, effect: float) -> AAReport:
    runs = len(splits.p_values)
    rejections = _count(int(np.count_nonzero(splits.p_values < ALPHA)), runs, ALPHA)
    holds = (splits.lower <= effect) & (effect <= splits.upper)
    covered = _count(int(np.count_nonzero(holds)), runs, CONFIDENCE)
    uniformity_p = float(stats.kstest(splits.p_values, "uniform").pvalue)
    return AAReport(
        metric=metric,
        runs=runs,
        arms=arms,
        listeners=listeners,
        rejections=rejections,
        uniformity_p=uniformity_p,
        effect=effect,
        covered=covered,
        detected=float(np.mean(splits.effect_p_values < ALPHA)),
        as_expected=rejections.as_expected and covered.as_expected and uniformity_p >= _KS_THRESHOLD,
    )


def _count(found: int, runs: int, chance: float) -> Count:
    lower, upper = stats.binom.interval(BAND, runs, chance)
    return Count(found, int(lower), int(upper))


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
