"""The verdict's rules on real experiments: ASOS Digital Experiments, analysed at every checkpoint.

    python -m benchmarks.asos asos_digital_experiments_dataset.parquet

The data set (Liu, Cardoso, Couturier & McCoy, Datasets for Online Controlled Experiments, NeurIPS
2021, CC BY 4.0; osf.io/64jsb) has the counts, means and variances of both arms so far, daily or
twice a day. A stream is a metric of an arm of an experiment. Whether it has an effect is what a
test at its last analysis says: a single one at the 5 % level, or one at 5 % false discoveries over
all streams. Streams of an experiment share its control, so intervals are by bootstrap over
experiments.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import typer

from analysis.ab.config import AbConfig
from analysis.ab.interim import InterimAnalysis
from analysis.statistics.effects import Effect, Estimate, compare
from analysis.statistics.multiplicity import benjamini_hochberg
from benchmarks.harness import console, show
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

STREAM = ("experiment_id", "variant_id", "metric_id")
MOMENTS = ("count", "mean", "variance")
LEVEL = 0.05
RESAMPLES = 2000

# the standard errors that a rule asks for, by the listeners so far and those at the last analysis
Bound = Callable[[float, float], float]


@dataclass(frozen=True)
class Rule:
    """When a stream is called an effect."""

    bound: Bound
    min_days: float = 0.0  # before which nothing is
    # whether an analysis a day later or more must say the same, the first there is
    confirmed: bool = False


@dataclass(frozen=True)
class Stream:
    """A metric of an arm."""

    experiment: str
    days: FloatArray  # of its analyses, ascending, shape (analyses,)
    listeners: FloatArray
    errors: FloatArray  # of the effect, in standard errors
    p_value: float  # of a single test at the last analysis

    def call(self, rule: Rule) -> float:
        """Find when a rule calls it, in parts of the experiment; infinite if never."""
        last = float(self.listeners[-1])
        bounds = np.array([rule.bound(float(n), last) for n in self.listeners])
        exceeds = (np.abs(self.errors) >= bounds) & (self.days >= rule.min_days)
        signs = np.where(exceeds, np.sign(self.errors), 0)
        for i in signs.nonzero()[0].tolist():
            later = i
            if rule.confirmed:
                later = int(np.searchsorted(self.days, self.days[i] + 1))
            if later < len(signs) and signs[later] == signs[i]:
                return float(self.days[later] / self.days[-1])
        return np.inf


def required_errors(config: AbConfig, listeners: float, last: float) -> float:
    """Compute the standard errors that a configuration asks for."""
    progress = listeners / last if config.fixed_horizon else 0.0
    return InterimAnalysis(config, progress).errors(LEVEL, listeners)


def single(_listeners: float, _last: float) -> float:
    """Return the standard errors of a single test."""
    return 1.96


ALWAYS = partial(required_errors, AbConfig())
HORIZON = partial(
    required_errors, AbConfig.model_validate({"fixed_horizon": {"listeners": 1}})
)
WEEK = AbConfig().min_days
RULES = {
    "a single test at every analysis": Rule(single),
    "always valid, at once": Rule(ALWAYS),
    "always valid, unconfirmed": Rule(ALWAYS, WEEK),
    "the same, confirmed: the default": Rule(ALWAYS, WEEK, confirmed=True),
    "fixed horizon at the last analysis": Rule(HORIZON, WEEK),
    "the same horizon, confirmed": Rule(HORIZON, WEEK, confirmed=True),
}


def read_streams(file: Path) -> Iterator[Stream]:
    """Yield the streams of the data set, each analysis with both arms known."""
    rows = pq.read_table(file).to_pandas().dropna()
    ordered = rows.sort_values("time_since_start").groupby(list(STREAM))
    for (experiment, *_), analyses in ordered:
        effects = [compare_arms(row) for row in analyses.to_dict("records")]
        errors = [row.absolute.value / row.standard_error for row in effects]
        yield Stream(
            experiment,
            analyses["time_since_start"].to_numpy(float),
            np.array([row.listeners for row in effects], float),
            np.nan_to_num(np.array(errors)),
            effects[-1].p_value,
        )


def compare_arms(row: dict[str, float]) -> Effect:
    """Compare the arms at an interim analysis."""
    control, arm = (
        Estimate(mean, variance, int(count))
        for count, mean, variance in (
            (row[f"{name}_{arm}"] for name in MOMENTS) for arm in ("c", "t")
        )
    )
    return compare(control, arm, 1 - LEVEL)


def share(values: BoolArray, among: BoolArray, experiments: list[str]) -> str:
    """Format a share of streams, in %, with its 95 % interval over experiments."""
    names, groups = np.unique(experiments, return_inverse=True)
    hits, sizes = (
        np.bincount(groups, weights, len(names)) for weights in (values & among, among)
    )
    generator = make_generator(7, "asos")
    drawn = generator.integers(len(names), size=(RESAMPLES, len(names)))
    with np.errstate(invalid="ignore"):
        shares = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = 100 * np.nanquantile(shares, [0.025, 0.975])
    return f"{100 * hits.sum() / sizes.sum():.1f} ({low:.0f}-{high:.0f})"


def main(
    file: Annotated[Path, typer.Argument(help="The data set's Parquet file.")],
) -> None:
    """Replay every stream by every rule."""
    streams = list(read_streams(file))
    experiments = [stream.experiment for stream in streams]
    p_values = [stream.p_value for stream in streams]
    significant = np.array(p_values) < LEVEL
    discovered = np.array(benjamini_hochberg(p_values)) < LEVEL
    rows = []
    for name, rule in RULES.items():
        calls = np.array([stream.call(rule) for stream in streams])
        cells = [
            share(calls <= 1, among, experiments)
            for has_effect in (significant, discovered)
            for among in (~has_effect, has_effect)
        ]
        rows.append([name, *cells, share(calls <= 0.5, discovered, experiments)])
    console.print(
        f"{len(streams)} streams of {len(set(experiments))} experiments; "
        f"{significant.sum()} significant at their last analysis, "
        f"{discovered.sum()} by false discoveries"
    )
    header = ("rule", "no effect", "effect", "none, FD", "effect, FD", "by half, FD")
    show("called, % (95 % interval)", header, rows)


if __name__ == "__main__":
    typer.run(main)
