"""What came of the days: each arm's effect, day by day, from the reports, and whether it grew."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from analysis.page import numbers
from looplib.files import atomic_write, atomic_write_text
from looplib.progress import WIDTH
from recsys.loop.places import Day

METRIC = "mean_time_per_session"
_LEARNING = frozenset({"indexed", "in_order", "contextual", "session_als", "session_context"})
_NORMAL_95 = 1.959964
_FORETOLD = ("foretold", "measured")


@dataclass(frozen=True)
class ArmOfDay:
    """An arm on a day.

    Attributes:
        day: From 1.
        arm: Its name.
        recommender: Who recommended.
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
class Growth:
    """How an arm's listening time, relative to the control's, changed from the first day to the last.

    Attributes:
        arm: The arm.
        recommender: Who recommended.
        days: The last day.
        factor: Ratio to the control on the last day over that on the first.
        lower: Lower end of the 95 % interval. Days count as independent; as an arm keeps its listeners they are not,
            which makes the interval too wide rather than too narrow.
        upper: Upper end.
    """

    arm: str
    recommender: str
    days: int
    factor: float
    lower: float
    upper: float

    def __str__(self) -> str:
        """A sentence."""
        what = "grew" if self.lower > 1 else "shrank" if self.upper < 1 else "did not change for certain"
        return (
            f"{self.arm} ({self.recommender}): listening time relative to the control {what} from day 1 to day "
            f"{self.days}: \N{MULTIPLICATION SIGN} {self.factor:.2f} ({self.lower:.2f} … {self.upper:.2f})"
        )


@dataclass(frozen=True)
class Outcome:
    """A day's experiment.

    Attributes:
        day: From 1.
        decision: The report's verdict.
        reason: Why.
        arms: The control first.
        foretold: Arms whose lists were valued before, with what was then measured; rows of `foretold.json`.
    """

    day: int
    decision: str
    reason: str
    arms: tuple[ArmOfDay, ...]
    foretold: tuple[dict[str, Any], ...]


def read_outcome(day: Day, recommenders: dict[str, str]) -> Outcome:
    """A day's outcome, from its report.

    Args:
        day: Whose report.
        recommenders: Arm → who recommends in it.
    """
    report: dict[str, Any] = orjson.loads((day.report / "report.json").read_bytes())
    rows = [row for row in report["effects"] if row["metric"] == METRIC]

    def arm_of_day(arm: str, mean: float, relative: dict[str, Any]) -> ArmOfDay:
        ends = (relative.get(key) for key in ("effect_pct", "lower_pct", "upper_pct"))
        return ArmOfDay(day.number, arm, recommenders.get(arm, ""), report["listeners"][arm], mean, *ends)

    arms = [arm_of_day(report["control"], rows[0]["control_value"], {})]
    arms += [arm_of_day(row["arm"], row["arm_value"], row["relative"] or {}) for row in rows]
    verdict = report["verdict"]
    foretold = orjson.loads(day.foretold.read_bytes())["foretold"] if day.foretold.exists() else ()
    return Outcome(day.number, verdict["decision"], verdict["reason"], tuple(arms), tuple(foretold))


def growth_of(outcomes: Sequence[Outcome]) -> list[Growth]:
    """How the arms that learn did from the first day to the last; nothing of a single day."""
    first, last = outcomes[0], outcomes[-1]
    pairs = zip(first.arms, last.arms, strict=True) if last.day > first.day else ()
    return [
        _growth(before, after, last.day)
        for before, after in pairs
        if after.recommender in _LEARNING and before.effect_pct is not None and after.effect_pct is not None
    ]


def write_outcomes(outcomes: Sequence[Outcome], as_json: Path, as_text: Path) -> None:
    """All days, for programs and for people."""
    with atomic_write(as_json) as handle:
        handle.write(orjson.dumps([asdict(outcome) for outcome in outcomes], option=orjson.OPT_INDENT_2))
    page = io.StringIO()
    print_outcomes(outcomes, Console(file=page, width=WIDTH))
    atomic_write_text(as_text, page.getvalue())


def print_outcomes(outcomes: Sequence[Outcome], output: Console) -> None:
    """The days' tables, and whether what learned from them grew."""
    output.print(_lift_table(outcomes))
    if any(outcome.foretold for outcome in outcomes):
        output.print(_foretold_table(outcomes))
    for growth in growth_of(outcomes):
        output.print(str(growth), soft_wrap=True, highlight=False)


def _lift_table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each day, a column for each arm."""
    table = Table(title="Listening time of a session, and the effect on it against the control, with 95 % intervals")
    table.add_column("day", justify="right")
    for arm in outcomes[0].arms:
        table.add_column(f"{arm.arm} {arm.recommender}", justify="right")
    for outcome in outcomes:
        table.add_row(str(outcome.day), *map(_lift, outcome.arms))
    return table


def _lift(arm: ArmOfDay) -> str:
    mean = numbers.number(arm.mean)
    if arm.effect_pct is None:
        return mean
    return f"{mean} {numbers.change(arm.effect_pct, 0)}\n{numbers.interval(arm.lower_pct, arm.upper_pct, 0)}"


def _foretold_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(
        title="Share heard of a recommended track: foretold (from day 2 on: by the control), measured, 95 % intervals"
    )
    for name in ("day", "arm", "foretold", "measured", "error", "intervals meet"):
        table.add_column(name, justify="right")
    for outcome in outcomes:
        for row in outcome.foretold:
            both = (_with_ends(row, of) for of in _FORETOLD)
            error, agrees = numbers.change(row["error_pct"], 1), "yes" if row["agrees"] else "no"
            table.add_row(str(outcome.day), row["arm"], *both, error, agrees)
    return table


def _with_ends(row: dict[str, Any], of: str) -> str:
    value, lower, upper = (numbers.number(row[key]) for key in (of, f"{of}_lower", f"{of}_upper"))
    return f"{value} ({lower} … {upper})"


def _growth(before: ArmOfDay, after: ArmOfDay, days: int) -> Growth:
    """The intervals are symmetric on the logarithm of the ratio, where the difference of two days is taken."""
    at, variance = zip(*(_log_ratio(each) for each in (before, after)), strict=True)
    grown, error = at[1] - at[0], _NORMAL_95 * math.sqrt(sum(variance))
    factor, lower, upper = (math.exp(log) for log in (grown, grown - error, grown + error))
    return Growth(after.arm, after.recommender, days, factor, lower, upper)


def _log_ratio(arm: ArmOfDay) -> tuple[float, float]:
    """The logarithm of the arm's ratio to the control, and its variance."""
    value, lower, upper = (
        math.log1p((percent or 0.0) / 100) for percent in (arm.effect_pct, arm.lower_pct, arm.upper_pct)
    )
    return value, ((upper - lower) / (2 * _NORMAL_95)) ** 2
