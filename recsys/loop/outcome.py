"""The outcome of a day: each arm's effect, over the control and over the best simple arm, and whether it grew."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from analysis.ab.measures import measure_original, read_listeners
from analysis.ab.metrics import METRICS
from analysis.ab.tables import load
from analysis.offpolicy.report import Prediction, predictions_table
from analysis.page import numbers
from analysis.statistics.effects import Interval, compare_moments
from recsys.loop.config import Paths

METRIC = METRICS["mean_time_per_session"]
_SIMPLE = frozenset({"random", "top_pop", "sticky_artist", "indexed", "in_order"})


@dataclass(frozen=True)
class ArmOutcome:
    """An arm on a day."""

    arm: str
    recommender: str
    listeners: int
    mean: float  # mean listening time of a session, over listeners; with the organic track
    # against the control, in % of its mean, whose noise is in the interval
    effect_pct: Interval | None
    over_simple_pct: Interval | None = None  # the same against the best simple arm


@dataclass(frozen=True)
class Outcome:
    """A day's experiment."""

    day: int  # from 1
    decision: str  # the report's verdict
    reason: str
    arms: list[ArmOutcome]  # the control first
    predictions: list[
        Prediction
    ]  # arms whose lists were estimated, with what was measured
    # the arm with the longest sessions of those whose recommender is a simple one
    best_simple: str | None = None


def read_outcome(paths: Paths) -> Outcome:
    """Read a day's outcome from its report and its log."""
    report: dict[str, Any] = orjson.loads(paths.report_json.read_bytes())
    recommenders = {
        arm: recommender or "" for arm, recommender in report["recommenders"].items()
    }
    rows = [row for row in report["effects"] if row["metric"] == METRIC.name]
    means = {report["control"]: rows[0]["control_value"]} | {
        row["arm"]: row["arm_value"] for row in rows
    }
    effects = {
        row["arm"]: Interval(
            *(row["relative"][key] for key in ("effect_pct", "lower_pct", "upper_pct"))
        )
        for row in rows
        if row["relative"]["lower_pct"] is not None
    }
    simple = [arm for arm in means if recommenders[arm] in _SIMPLE]
    best = max(simple, key=lambda arm: means[arm], default=None)
    over_simple = (
        _effects_over(best, means, paths.log, report["experiment"]) if best else {}
    )
    arms = [
        ArmOutcome(
            arm,
            recommenders[arm],
            report["listeners"][arm],
            mean,
            effects.get(arm),
            over_simple.get(arm),
        )
        for arm, mean in means.items()
    ]
    found = (
        orjson.loads(paths.predictions.read_bytes())["predictions"]
        if paths.predictions.exists()
        else []
    )
    predictions = msgspec.convert(found, list[Prediction])
    return Outcome(
        paths.number,
        report["verdict"]["decision"],
        report["verdict"]["reason"],
        arms,
        predictions,
        best,
    )


def _effects_over(
    base: str, arms: Iterable[str], log: Path, experiment: str
) -> dict[str, Interval]:
    """Return the effects of the other arms over one of them, in % of its mean, whose noise is in the intervals."""
    with load([log], experiment, table_only=True) as loaded:
        measure_original(loaded)
        moments = {
            arm: METRIC.moments(read_listeners(loaded.connection, arm)) for arm in arms
        }
    return {
        arm: compare_moments(
            moments[base], found, METRIC.quantity, 0.95
        ).relative.scaled(100)
        for arm, found in moments.items()
        if arm != base
    }


def growth_of(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Return how the arms changed from the first day to the last; nothing for a single day.

    Returns:
        Arm → its listening time relative to the control on the last day over that on the first.
        Days count as independent; as an arm keeps its listeners they are not, which makes the 95 %
        intervals too wide rather than too narrow.
    """
    growth = {}
    for before, after in (
        zip(outcomes[0].arms, outcomes[-1].arms, strict=True)
        if len(outcomes) > 1
        else ()
    ):
        if before.effect_pct and after.effect_pct:
            # The intervals are symmetric on the logarithm of the ratio, where the difference of two
            # days is taken.
            start, end = (
                np.log1p(np.array([*effect]) / 100)
                for effect in (before.effect_pct, after.effect_pct)
            )
            error = math.hypot(start[2] - start[1], end[2] - end[1]) / 2
            growth[after.arm] = Interval(
                *np.exp(end[0] - start[0] + np.array([0, -error, error])).tolist()
            )
    return growth


def print_outcomes(outcomes: Sequence[Outcome], output: Console) -> None:
    """Print the last day's verdict and arms, how these grew since the first day, and what was predicted."""
    last, growth = outcomes[-1], growth_of(outcomes)
    output.print(
        f"[bold]{last.decision}[/]: {last.reason}\n", soft_wrap=True, highlight=False
    )
    names = {arm.arm: f"{arm.arm} {arm.recommender}" for arm in last.arms}
    table = Table(
        "arm",
        box=None,
        title="Listening time of a session in tracks, with 95 % intervals",
    )
    columns = ["time", f"over {names[last.arms[0].arm]}"]
    columns += (
        [f"over {names[last.best_simple]}, the best simple arm"]
        if last.best_simple
        else []
    )
    columns += ["lift since day 1"] if growth else []
    for column in columns:
        table.add_column(column, justify="right")
    for arm in last.arms:
        cells = [numbers.number(arm.mean), _effect(arm.effect_pct)]
        cells += [_effect(arm.over_simple_pct)] if last.best_simple else []
        cells += [_growth(growth[arm.arm])] if arm.arm in growth else []
        table.add_row(names[arm.arm], *cells)
    output.print(table)
    if predictions := [
        prediction for outcome in outcomes for prediction in outcome.predictions
    ]:
        predicted = predictions_table(predictions)
        predicted.box = None
        output.print("", predicted)


def _effect(effect: Interval | None) -> str:
    if effect is None:
        return numbers.NOTHING
    return f"{numbers.change(effect.value, 0)} ({numbers.interval(effect.lower, effect.upper, 0)})"


def _growth(factor: Interval) -> str:
    change = (
        "grew" if factor.lower > 1 else "shrank" if factor.upper < 1 else "not certain"
    )
    return f"{change}: \N{MULTIPLICATION SIGN} {factor.value:.2f} ({factor.lower:.2f} … {factor.upper:.2f})"
