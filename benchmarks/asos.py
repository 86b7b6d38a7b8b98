"""The verdict's rules on real experiments: ASOS Digital Experiments, looked at every checkpoint.

    python -m benchmarks.asos asos_digital_experiments_dataset.parquet

The data set (Liu, Cardoso, Couturier & McCoy, Datasets for Online Controlled Experiments, NeurIPS
2021, CC BY 4.0; osf.io/64jsb) has the counts, means and variances of both arms so far, daily or
twice a day. A stream is a metric of an arm of an experiment. Its outcome is what a single test at
the 5 % level says at its last look. Called at some look and not at the end: of the streams without
an outcome, those that a rule called significant at any look. A stop is the first look at which a
rule calls a stream with an outcome, in parts of its last; a stream that is never called counts with
what it would take if its effect stayed, or as infinite.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import typer

from analysis.ab.config import AbConfig
from analysis.statistics import sequential
from analysis.statistics.effects import Effect, Estimate, compare
from benchmarks.harness import console, show
from looplib.arrays import FloatArray

STREAM = ("experiment_id", "variant_id", "metric_id")
SIDES = ("count", "mean", "variance")
LEVEL = 0.05
LONGEST = 10.0  # times the last look's listeners that are looked for an end

# whether a stream is significant, by the effect so far and the listeners at its last look
Rule = Callable[[Effect, float], bool]


@dataclass(frozen=True)
class Stream:
    """A metric of an arm: its effect at each look."""

    times: FloatArray  # shape (looks,)
    effects: list[Effect]

    @property
    def planned(self) -> float:
        """Listeners at the last look."""
        return float(self.effects[-1].listeners)

    @property
    def is_significant(self) -> bool:
        """Whether a single test at the last look finds an effect."""
        return self.effects[-1].p_value < LEVEL

    def first(self, rule: Rule) -> float:
        """Return when a rule first calls it, in parts of the last time; infinite if never."""
        for time, effect in zip(self.times, self.effects, strict=True):
            if rule(effect, self.planned):
                return float(time / self.times[-1])
        return np.inf


def naive(effect: Effect, planned: float) -> bool:  # noqa: ARG001
    """A single test, at every look."""
    return effect.p_value < LEVEL


def default(effect: Effect, planned: float) -> bool:  # noqa: ARG001
    """The always-valid interval, as configured by default."""
    found = sequential.at_any_time(effect, AbConfig().planned_listeners, 1 - LEVEL)
    return found.p_value < LEVEL


def planned(effect: Effect, planned: float) -> bool:
    """The same, narrowest where it was planned to be."""
    return sequential.at_any_time(effect, planned, 1 - LEVEL).p_value < LEVEL


RULES: dict[str, Rule] = {
    "a single test at every look": naive,
    "always-valid, by default": default,
    "always-valid, planned for the last look's listeners": planned,
}


def read_streams(file: Path) -> Iterator[Stream]:
    """Yield the streams of the data set, each look with both arms known."""
    rows = pq.read_table(file).to_pandas().dropna()
    for _, looks in rows.sort_values("time_since_start").groupby(list(STREAM)):
        effects = []
        for row in looks.to_dict("records"):
            count, mean, variance = (
                [float(row[f"{name}_{arm}"]) for arm in ("c", "t")] for name in SIDES
            )
            control, arm = (
                Estimate(mean[side], variance[side], int(count[side]))
                for side in (0, 1)
            )
            effects.append(compare(control, arm, 1 - LEVEL))
        yield Stream(looks["time_since_start"].to_numpy(float), effects)


def main(
    file: Annotated[Path, typer.Argument(help="The data set's Parquet file.")],
) -> None:
    """Replay every stream by every rule."""
    streams = list(read_streams(file))
    ended = [stream for stream in streams if stream.is_significant]
    others = [stream for stream in streams if not stream.is_significant]
    rows = []
    for name, rule in RULES.items():
        called = np.array([stream.first(rule) for stream in others])
        stops = np.array([stream.first(rule) for stream in ended])
        rows.append(
            [
                name,
                f"{np.isfinite(called).mean():.1%}",
                f"{np.isfinite(stops).mean():.1%}",
                f"{np.median(stops):.2f}",
            ]
        )
    console.print(
        f"{len(streams)} streams, {len(ended)} significant at their last look"
    )
    show("", ("rule", "called, not at the end", "called", "median stop"), rows)


if __name__ == "__main__":
    typer.run(main)
