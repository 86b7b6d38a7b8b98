"""What came of the days: each arm's effect, day by day, from the reports."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.page import numbers
from common.files import atomic_write
from recsys.loop.days import Day

METRIC = "mean_time_per_session"


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
        lower_pct: Lower end of the 95 % interval.
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
        foretold: Arms whose lists were valued before, with what was then measured; rows of `foretold.json`.
    """

    day: int
    decision: str
    reason: str
    arms: tuple[ArmOfDay, ...]
    foretold: tuple[dict[str, Any], ...]

    @property
    def best(self) -> ArmOfDay:
        """The arm with the most listening time."""
        return max(self.arms, key=lambda arm: arm.mean)


def read_outcome(day: Day, recommenders: dict[str, str]) -> Outcome:
    """A day's outcome, from its report.

    Args:
        day: Whose report.
        recommenders: Arm → who recommends in it.
    """
    report: dict[str, Any] = orjson.loads((day.report / "report.json").read_bytes())
    rows = [row for row in report["course_table"] if row["metric"] == METRIC]
    control = report["control"]
    listeners = report["listeners"]
    arms = [
        ArmOfDay(
            day.number,
            control,
            recommenders.get(control, ""),
            listeners[control],
            rows[0]["control_mean"],
            None,
            None,
            None,
        )
    ]
    arms += [
        ArmOfDay(
            day.number,
            row["arm"],
            recommenders.get(row["arm"], ""),
            listeners[row["arm"]],
            row["arm_mean"],
            row["effect_pct"],
            row["lower_pct"],
            row["upper_pct"],
        )
        for row in rows
    ]
    verdict = report["verdict"]
    foretold = orjson.loads(day.foretold.read_bytes())["foretold"] if day.foretold.exists() else ()
    return Outcome(day.number, verdict["decision"], verdict["reason"], tuple(arms), tuple(foretold))


def write_outcomes(file: Path, outcomes: Sequence[Outcome]) -> None:
    """All days as JSON."""
    with atomic_write(file) as handle:
        handle.write(orjson.dumps([asdict(outcome) for outcome in outcomes], option=orjson.OPT_INDENT_2))


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each arm, a column for each day."""
    table = Table(title="Listening time of a session, and the effect on it against the control, with 95 % intervals")
    table.add_column("arm", no_wrap=True)
    table.add_column("recommender", no_wrap=True)
    for outcome in outcomes:
        table.add_column(f"day {outcome.day}: time", justify="right", no_wrap=True)
        table.add_column("effect", justify="right", no_wrap=True)
    for rows in zip(*(outcome.arms for outcome in outcomes), strict=True):
        cells = [text for row in rows for text in (numbers.number(row.mean), _effect(row))]
        table.add_row(rows[0].arm, rows[0].recommender, *cells)
    return table


def _effect(row: ArmOfDay) -> str:
    if row.effect_pct is None:
        return ""
    return f"{numbers.change(row.effect_pct, 0)} ({numbers.interval(row.lower_pct, row.upper_pct, 0)})"
