"""The verdict's rules on real experiments: ASOS Digital Experiments, analysed at every checkpoint.

    python -m benchmarks.asos asos_digital_experiments_dataset.parquet

The data set (Liu, Cardoso, Couturier & McCoy, Datasets for Online Controlled Experiments, NeurIPS
2021, CC BY 4.0; osf.io/64jsb) has the counts, means and variances of both arms so far, daily or
twice a day. A stream is a metric of an arm of an experiment. Its outcome is what a single test at
the 5 % level says at its last analysis. Called, not at the end: of the streams without an effect at
the end, those that a rule calls significant at some analysis. Stops are of the streams with one.
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
from benchmarks.harness import console, show
from looplib.arrays import FloatArray

STREAM = ("experiment_id", "variant_id", "metric_id")
MOMENTS = ("count", "mean", "variance")
LEVEL = 0.05
# times the last analysis's listeners at which a stream counts as never called
LONGEST = 100.0

# the standard errors that a rule asks for, by the listeners so far and those at the last analysis
Rule = Callable[[float, float], float]


@dataclass(frozen=True)
class Stream:
    """A metric of an arm."""

    # in parts of the last analysis's, shape (analyses,); ascending
    times: FloatArray
    listeners: FloatArray
    errors: FloatArray  # of the effect, in standard errors, shape (analyses,)
    is_significant: bool  # whether a single test at the last analysis finds an effect

    def stop(self, rule: Rule) -> float:
        """Find when a rule first calls it, in parts of the experiment; infinite if never.

        Beyond the end the effect stays as it is, and listeners come as before.
        """
        last = float(self.listeners[-1])
        analyses = zip(self.times, self.listeners, self.errors, strict=True)
        for time, listeners, errors in analyses:
            if errors >= rule(float(listeners), last):
                return float(time)
        growth = 1.0
        while growth < LONGEST:
            growth *= 1.02
            if self.errors[-1] * growth**0.5 >= rule(growth * last, last):
                return growth
        return np.inf


def required_errors(config: AbConfig, listeners: float, last: float) -> float:
    """Return the standard errors that a configuration asks for."""
    planned = config.fixed_horizon.listeners if config.fixed_horizon else None
    progress = min(1.0, listeners / last) if planned else 0.0
    if planned and listeners > last:
        return np.inf
    return InterimAnalysis(config, progress).errors(LEVEL, listeners)


def single(listeners: float, last: float) -> float:
    """Return the standard errors of a single test."""
    return 1.96 if listeners <= last else np.inf


RULES: dict[str, Rule] = {
    "a single test at every analysis": single,
    "always-valid, by default": partial(required_errors, AbConfig()),
    "fixed horizon at the last analysis": partial(
        required_errors, AbConfig.model_validate({"fixed_horizon": {"listeners": 1}})
    ),
}


def read_streams(file: Path) -> Iterator[Stream]:
    """Yield the streams of the data set, each analysis with both arms known."""
    rows = pq.read_table(file).to_pandas().dropna()
    for _, analyses in rows.sort_values("time_since_start").groupby(list(STREAM)):
        effects = [compare_arms(row) for row in analyses.to_dict("records")]
        times = analyses["time_since_start"].to_numpy(float)
        errors = [abs(row.absolute.value) / row.standard_error for row in effects]
        yield Stream(
            times / times[-1],
            np.array([row.listeners for row in effects], float),
            np.nan_to_num(np.array(errors)),
            effects[-1].p_value < LEVEL,
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


def main(
    file: Annotated[Path, typer.Argument(help="The data set's Parquet file.")],
) -> None:
    """Replay every stream by every rule."""
    streams = list(read_streams(file))
    ended = [stream for stream in streams if stream.is_significant]
    without = [stream for stream in streams if not stream.is_significant]
    rows = []
    for name, rule in RULES.items():
        called = np.array([stream.stop(rule) <= 1 for stream in without])
        stops = np.array([stream.stop(rule) for stream in ended])
        in_time = f"{(stops <= 1).mean():.0%}"
        rows.append([name, f"{called.mean():.1%}", in_time, f"{np.median(stops):.2f}"])
    console.print(
        f"{len(streams)} streams, {len(ended)} significant at their last analysis"
    )
    header = ("rule", "called, not at the end", "called in time", "median stop")
    show("", header, rows)


if __name__ == "__main__":
    typer.run(main)
