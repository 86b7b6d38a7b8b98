"""The outcome of the days: each arm's effect, day by day, from the reports, and whether it grew."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from analysis.offpolicy.report import Prediction, predictions_table
from analysis.page import numbers
from analysis.statistics.effects import Interval
from recsys.loop.config import DayPaths

METRIC = "mean_time_per_session"
_LEARNING = frozenset({"indexed", "in_order", "contextual", "session_als", "fold_in", "session_context"})


@dataclass(frozen=True)
class ArmOutcome:
    """An arm on a day."""

    arm: str
    recommender: str
    listeners: int
    mean: float  # mean listening time of a session, over listeners; with the organic track
    effect_pct: Interval | None  # against the control, in % of its mean, whose noise is in the interval


@dataclass(frozen=True)
class Outcome:
    """A day's experiment."""

    day: int  # from 1
    decision: str  # the report's verdict
    reason: str
    arms: list[ArmOutcome]  # the control first
    predictions: list[Prediction]  # arms whose lists were estimated, with what was measured


def read_outcome(day: DayPaths, recommenders: dict[str, str]) -> Outcome:
    """Read a day's outcome from its report; `recommenders` is arm → its recommender."""
    report: dict[str, Any] = orjson.loads(day.report_json.read_bytes())
    rows = [row for row in report["effects"] if row["metric"] == METRIC]
    means = {report["control"]: rows[0]["control_value"]} | {row["arm"]: row["arm_value"] for row in rows}
    effects = {
        row["arm"]: Interval(*(row["relative"][key] for key in ("effect_pct", "lower_pct", "upper_pct")))
        for row in rows
        if row["relative"]["lower_pct"] is not None
    }
    arms = [
        ArmOutcome(arm, recommenders.get(arm, ""), report["listeners"][arm], mean, effects.get(arm))
        for arm, mean in means.items()
    ]
    found = orjson.loads(day.predictions.read_bytes())["predictions"] if day.predictions.exists() else []
    predictions = msgspec.convert(found, list[Prediction])
    return Outcome(day.number, report["verdict"]["decision"], report["verdict"]["reason"], arms, predictions)


def growth_of(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Return how the arms that learn changed from the first day to the last; nothing for a single day.

    Returns:
        Arm → its listening time relative to the control on the last day over that on the first. Days count as
        independent; as an arm keeps its listeners they are not, which makes the 95 % intervals too wide rather than
        too narrow.
    """
    growth = {}
    for before, after in zip(outcomes[0].arms, outcomes[-1].arms, strict=True) if len(outcomes) > 1 else ():
        if after.recommender in _LEARNING and before.effect_pct and after.effect_pct:
            # The intervals are symmetric on the logarithm of the ratio, where the difference of two days is taken.
            start, end = (np.log1p(np.array([*effect]) / 100) for effect in (before.effect_pct, after.effect_pct))
            error = math.hypot(start[2] - start[1], end[2] - end[1]) / 2
            growth[after.arm] = Interval(*np.exp(end[0] - start[0] + np.array([0, -error, error])).tolist())
    return growth


def print_outcomes(outcomes: Sequence[Outcome], output: Console) -> None:
    """Print the days' tables, and whether what learned from them grew."""
    table = Table(title="Listening time of a session, and the effect on it against the control, with 95 % intervals")
    table.add_column("day", justify="right")
    for arm in outcomes[0].arms:
        table.add_column(f"{arm.arm} {arm.recommender}", justify="right")
    for outcome in outcomes:
        table.add_row(str(outcome.day), *map(_cell, outcome.arms))
    output.print(table)
    predictions = [(outcome.day, prediction) for outcome in outcomes for prediction in outcome.predictions]
    if predictions:
        days, rows = zip(*predictions, strict=True)
        output.print(predictions_table(rows, days))
    recommenders = {arm.arm: arm.recommender for arm in outcomes[-1].arms}
    for name, factor in growth_of(outcomes).items():
        change = "grew" if factor.lower > 1 else "shrank" if factor.upper < 1 else "did not change for certain"
        output.print(
            f"{name} ({recommenders[name]}): listening time relative to the control {change} from day 1 to day "
            f"{outcomes[-1].day}: \N{MULTIPLICATION SIGN} {factor.value:.2f} ({factor.lower:.2f} … {factor.upper:.2f})",
            soft_wrap=True,
            highlight=False,
        )


def _cell(arm: ArmOutcome) -> str:
    mean, effect = numbers.number(arm.mean), arm.effect_pct
    if effect is None:
        return mean
    return f"{mean} {numbers.change(effect.value, 0)}\n{numbers.interval(effect.lower, effect.upper, 0)}"
