"""The outcome of the days: each arm's effect, day by day, from the reports, and whether it grew."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from analysis.offpolicy import predictions
from analysis.offpolicy.predictions import Prediction
from analysis.page import numbers
from analysis.statistics.effects import Interval
from looplib.files import atomic_write_json, atomic_write_text
from looplib.progress import WIDTH
from recsys.loop.paths import DayPaths

METRIC = "mean_time_per_session"
_LEARNING = frozenset({"indexed", "in_order", "contextual", "session_als", "session_context"})


@dataclass(frozen=True)
class ArmOfDay:
    """An arm on a day.

    Attributes:
        day: From 1.
        arm: Its name.
        recommender: Its recommender.
        listeners: How many it had.
        mean: Mean listening time of a session, over listeners; with the organic track.
        effect_pct: Against the control, in % of its mean; None for the control.
        lower_pct: Lower end of the 95 % interval; the control's noise is in it.
        upper_pct: Upper end.
    """

    day: int
    arm: str
    recommender: str
    listeners: int
    mean: float
    effect_pct: float | None
    lower_pct: float | None
    upper_pct: float | None


@dataclass(frozen=True)
class Outcome:
    """A day's experiment.

    Attributes:
        day: From 1.
        decision: The report's verdict.
        reason: Why.
        arms: The control first.
        predictions: Arms whose lists were estimated, with what was measured.
    """

    day: int
    decision: str
    reason: str
    arms: tuple[ArmOfDay, ...]
    predictions: tuple[Prediction, ...]


def read_outcome(day: DayPaths, recommenders: dict[str, str]) -> Outcome:
    """Read a day's outcome from its report.

    Args:
        day: The day.
        recommenders: Arm → its recommender.
    """
    report: dict[str, Any] = orjson.loads(day.report_json.read_bytes())
    rows = [row for row in report["effects"] if row["metric"] == METRIC]

    def arm_of_day(arm: str, mean: float, relative: dict[str, Any]) -> ArmOfDay:
        ends = (relative.get(key) for key in ("effect_pct", "lower_pct", "upper_pct"))
        return ArmOfDay(day.number, arm, recommenders.get(arm, ""), report["listeners"][arm], mean, *ends)

    arms = [arm_of_day(report["control"], rows[0]["control_value"], {})]
    arms += [arm_of_day(row["arm"], row["arm_value"], row["relative"] or {}) for row in rows]
    predicted = orjson.loads(day.predictions.read_bytes())["predictions"] if day.predictions.exists() else ()
    verdict = report["verdict"]
    return Outcome(
        day.number, verdict["decision"], verdict["reason"], tuple(arms), tuple(Prediction(**row) for row in predicted)
    )


def growth_of(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Return how the arms that learn changed from the first day to the last.

    Returns:
        Arm → its listening time relative to the control on the last day over that on the first; empty for a single
        day. Days count as independent; as an arm keeps its listeners they are not, which makes the 95 % intervals too
        wide rather than too narrow.
    """
    first, last = outcomes[0], outcomes[-1]
    pairs = zip(first.arms, last.arms, strict=True) if last.day > first.day else ()
    growth = {}
    for before, after in pairs:
        if after.recommender in _LEARNING and before.effect_pct is not None and after.effect_pct is not None:
            # The intervals are symmetric on the logarithm of the ratio, where the difference of two days is taken.
            (start, start_error), (end, end_error) = _log_ratio(before), _log_ratio(after)
            error = math.hypot(start_error, end_error)
            growth[after.arm] = Interval(*(math.exp(end - start + margin) for margin in (0, -error, error)))
    return growth


def write_outcomes(outcomes: Sequence[Outcome], as_json: Path, as_text: Path) -> None:
    """Write all days, for programs and for people."""
    atomic_write_json(as_json, outcomes)
    page = io.StringIO()
    print_outcomes(outcomes, Console(file=page, width=WIDTH))
    atomic_write_text(as_text, page.getvalue())


def print_outcomes(outcomes: Sequence[Outcome], output: Console) -> None:
    """Print the days' tables, and whether what learned from them grew."""
    table = Table(title="Listening time of a session, and the effect on it against the control, with 95 % intervals")
    table.add_column("day", justify="right")
    for arm in outcomes[0].arms:
        table.add_column(f"{arm.arm} {arm.recommender}", justify="right")
    for outcome in outcomes:
        table.add_row(str(outcome.day), *map(_effect, outcome.arms))
    output.print(table)
    predicted = [(outcome.day, prediction) for outcome in outcomes for prediction in outcome.predictions]
    if predicted:
        days, rows = zip(*predicted, strict=True)
        output.print(predictions.table(rows, days))
    recommenders = {arm.arm: arm.recommender for arm in outcomes[-1].arms}
    for name, factor in growth_of(outcomes).items():
        change = "grew" if factor.lower > 1 else "shrank" if factor.upper < 1 else "did not change for certain"
        output.print(
            f"{name} ({recommenders[name]}): listening time relative to the control {change} from day 1 to day "
            f"{outcomes[-1].day}: \N{MULTIPLICATION SIGN} {factor.value:.2f} ({factor.lower:.2f} … {factor.upper:.2f})",
            soft_wrap=True,
            highlight=False,
        )


def _effect(arm: ArmOfDay) -> str:
    mean = numbers.number(arm.mean)
    if arm.effect_pct is None:
        return mean
    return f"{mean} {numbers.change(arm.effect_pct, 0)}\n{numbers.interval(arm.lower_pct, arm.upper_pct, 0)}"


def _log_ratio(arm: ArmOfDay) -> tuple[float, float]:
    """Return the logarithm of the arm's ratio to the control, and half the width of its 95 % interval."""
    value, lower, upper = (
        math.log1p((percent or 0.0) / 100) for percent in (arm.effect_pct, arm.lower_pct, arm.upper_pct)
    )
    return value, (upper - lower) / 2
