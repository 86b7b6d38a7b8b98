"""The verdict's rules on real experiments: ASOS Digital Experiments, analysed at every checkpoint.

    python -m benchmarks.asos asos_digital_experiments_dataset.parquet

The data set (Liu, Cardoso, Couturier & McCoy, Datasets for Online Controlled Experiments, NeurIPS
2021, CC BY 4.0; osf.io/64jsb) has the counts, means and variances of both arms so far, daily or
twice a day. A stream is a metric of an arm of an experiment. Whether it has an effect is what a
test at its last analysis says: a single one at the 5 % level, or one at 5 % false discoveries over
all streams. Streams of an experiment share its control, so intervals are by bootstrap over
experiments; where none or all of the streams are called, the exact one of Clopper and Pearson, as
if each experiment with such streams were one. The data are taken as they are, and cleaned: without
the analyses at which an effect jumps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import typer
from scipy.stats import binomtest

from analysis.ab.config import AbConfig, expect
from analysis.ab.interim import InterimAnalysis
from analysis.ab.moments import RATIO, VALUES
from analysis.ab.quality import jumps
from analysis.statistics.effects import compare_moments
from analysis.statistics.moments import Moments
from analysis.statistics.multiplicity import benjamini_hochberg
from benchmarks.harness import console, show
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

LEVEL = 0.05
RESAMPLES = 2000


@dataclass(frozen=True)
class Stream:
    """A metric of an arm."""

    experiment: str
    days: FloatArray  # of its analyses, ascending, shape (analyses,)
    listeners: FloatArray
    errors: FloatArray  # of the effect, in standard errors
    jumps: BoolArray  # whether the effect is too far from that of the analysis before
    p_value: float  # of a single test at the last analysis


@dataclass(frozen=True)
class Rule:
    """When a stream is called an effect: by a single test, or by a configuration."""

    config: AbConfig | None = None  # which trusts no jump, and no week that is not over
    # whether an analysis a day later or more must say the same, the first there is
    confirmed: bool = False

    def call(self, stream: Stream) -> float:
        """Find when a stream is called, in parts of the experiment; infinite if never."""
        exceeds = np.abs(stream.errors) >= self.required_errors(stream)
        if self.config:
            exceeds &= (stream.days >= self.config.min_days) & ~stream.jumps
        signs = np.where(exceeds, np.sign(stream.errors), 0)
        for i in signs.nonzero()[0].tolist():
            later = i
            if self.confirmed:
                later = int(np.searchsorted(stream.days, stream.days[i] + 1))
            if later < len(signs) and signs[later] == signs[i]:
                return float(stream.days[later] / stream.days[-1])
        return np.inf

    def required_errors(self, stream: Stream) -> FloatArray:
        """Compute the standard errors that are asked for at each analysis."""
        if self.config is None:
            return np.array(1.96)
        listeners, config = stream.listeners.tolist(), self.config
        planned = listeners[-1]  # of a fixed horizon
        if not config.fixed_horizon:
            first = stream.days <= max(config.min_days, stream.days[0])
            config = expect(config, int(stream.listeners[first][-1]))
            planned = config.expected_listeners or 1
        bounds = [
            InterimAnalysis(config, count / planned).errors(LEVEL, count)
            for count in listeners
        ]
        return np.array(bounds)


DEFAULT = AbConfig()
HORIZON = AbConfig.model_validate({"fixed_horizon": {"listeners": 1}})
RULES = {
    "a single test at every analysis": Rule(),
    "the default, at once": Rule(DEFAULT),
    "the default": Rule(DEFAULT, confirmed=True),
    "fixed horizon at the last analysis, confirmed": Rule(HORIZON, confirmed=True),
}


def read_streams(file: Path, *, cleaned: bool = False) -> Iterator[Stream]:
    """Yield the streams of the data set, each analysis with both arms known.

    Args:
        file: The data set.
        cleaned: Whether analyses are left out whose effect jumps from the one left in before.
    """
    rows = pq.read_table(file).to_pandas().dropna()
    stream = ["experiment_id", "variant_id", "metric_id"]
    ordered = rows.sort_values("time_since_start").groupby(stream)
    for (experiment, *_), analyses in ordered:
        arms: list[tuple[Moments, Moments]] = []
        days, jumped = [], []
        for row in analyses.to_dict("records"):
            pair = (read_arm(row, "c"), read_arm(row, "t"))
            is_jump = bool(arms) and jumps(*arms[-1], *pair)
            if not (cleaned and is_jump):
                arms.append(pair)
                days.append(row["time_since_start"])
                jumped.append(is_jump)
        effects = [compare_moments(*pair, RATIO, 1 - LEVEL) for pair in arms]
        errors = [
            row.absolute.value / (row.standard_error or np.inf) for row in effects
        ]
        yield Stream(
            experiment,
            np.array(days),
            np.array([row.listeners for row in effects], float),
            np.nan_to_num(np.array(errors)),
            np.array(jumped),
            effects[-1].p_value,
        )


def read_arm(row: dict[str, float], arm: str) -> Moments:
    """Read an arm at an interim analysis."""
    count, mean, variance = (
        row[f"{key}_{arm}"] for key in ("count", "mean", "variance")
    )
    covariances = np.diag([variance, 0.0])
    return Moments(VALUES[:2], int(count), np.array([mean, 1.0]), covariances)


def share(values: BoolArray, among: BoolArray, experiments: list[str]) -> str:
    """Format a share of streams, in %, with its 95 % interval over experiments."""
    names, groups = np.unique(experiments, return_inverse=True)
    hits, sizes = (
        np.bincount(groups, weights, len(names)) for weights in (values & among, among)
    )
    called = hits.sum() / sizes.sum()
    if called in {0, 1}:
        concerned = int(np.count_nonzero(sizes))
        low, high = binomtest(round(called * concerned), concerned).proportion_ci()
    else:
        generator = make_generator(7, "asos")
        drawn = generator.integers(len(names), size=(RESAMPLES, len(names)))
        with np.errstate(invalid="ignore"):
            shares = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        low, high = np.nanquantile(shares, [0.025, 0.975])
    return f"{100 * called:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def main(
    file: Annotated[Path, typer.Argument(help="The data set's Parquet file.")],
) -> None:
    """Replay every stream by every rule."""
    for cleaned in (False, True):
        streams = list(read_streams(file, cleaned=cleaned))
        experiments = [stream.experiment for stream in streams]
        p_values = [stream.p_value for stream in streams]
        significant = np.array(p_values) < LEVEL
        discovered = np.array(benjamini_hochberg(p_values)) < LEVEL
        rows = []
        for name, rule in RULES.items():
            calls = np.array([rule.call(stream) for stream in streams])
            cells = [
                share(calls <= 1, among, experiments)
                for has_effect in (significant, discovered)
                for among in (~has_effect, has_effect)
            ]
            rows.append([name, *cells])
        console.print(
            f"data {'cleaned' if cleaned else 'as it is'}: {len(streams)} streams "
            f"of {len(set(experiments))} experiments, "
            f"{sum(stream.jumps.sum() for stream in streams)} jumps; "
            f"{significant.sum()} significant at their last analysis, "
            f"{discovered.sum()} by false discoveries"
        )
        header = ("rule", "no effect", "effect", "none, FD", "effect, FD")
        show("called, % (95 % interval)", header, rows)


if __name__ == "__main__":
    typer.run(main)
