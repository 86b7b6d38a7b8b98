"""The outcome of a day: each arm's effect, over the control and over the best simple arm, and whether it grew."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from analysis.ab.config import AbConfig
from analysis.ab.report import build_report
from analysis.offpolicy.report import Prediction, predictions_table
from analysis.page import numbers
from analysis.statistics.effects import Interval

METRIC = "mean_time_per_session"
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
    # arms whose lists were estimated, with what was measured
    predictions: list[Prediction]
    # the arm with the longest sessions of those whose recommender is a simple one
    best_simple: str | None = None


def read_outcome(number: int, day: Path) -> Outcome:
    """Read the outcome of a day from its folder: the A/B report, the log, the predictions."""
    report = orjson.loads((day / "report" / "report.json").read_bytes())
    rows = [row for row in report["effects"] if row["metric"] == METRIC]
    means = {report["control"]: rows[0]["control_value"]}
    means |= {row["arm"]: row["arm_value"] for row in rows}
    effects = _effects(rows)

    recommenders = {arm: name or "" for arm, name in report["recommenders"].items()}
    simple = [arm for arm in means if recommenders[arm] in _SIMPLE]
    best = max(simple, key=lambda arm: means[arm], default=None)
    over_simple = {}
    if best:
        config = AbConfig(
            control=best, primary=(METRIC,), secondary=(), diagnostics=(), guardrails=()
        )
        against = build_report([day / "log"], report["experiment"], config)
        over_simple = _effects(orjson.loads(against.to_json())["effects"])
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
    verdict = report["verdict"]
    predictions = _read_predictions(day / "predictions.json")
    return Outcome(
        number, verdict["decision"], verdict["reason"], arms, predictions, best
    )


def _effects(rows: Sequence[dict[str, Any]]) -> dict[str, Interval]:
    """Return the effects in % by arm, for a single look; of those that have an interval."""
    found = {}
    for row in rows:
        relative = row["relative"]
        if relative["lower_pct"] is not None:
            ends = relative["lower_pct"], relative["upper_pct"]
            found[row["arm"]] = Interval(relative["effect_pct"], *ends)
    return found


def _read_predictions(file: Path) -> list[Prediction]:
    if not file.exists():
        return []
    document = orjson.loads(file.read_bytes())
    return msgspec.convert(document["predictions"], list[Prediction])


def growth(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Return how the arms changed from the first day to the last; nothing for a single day.

    Returns:
        Arm → its listening time relative to the control on the last day over that on the first.
        Days count as independent; as an arm keeps its listeners they are not, which makes the 95 %
        intervals too wide rather than too narrow.
    """
    found: dict[str, Interval] = {}
    if len(outcomes) < 2:
        return found
    for before, after in zip(outcomes[0].arms, outcomes[-1].arms, strict=True):
        if before.effect_pct and after.effect_pct:
            # the intervals are symmetric on the logarithm of the ratio to the control
            start = [math.log1p(value / 100) for value in before.effect_pct]
            end = [math.log1p(value / 100) for value in after.effect_pct]
            change = end[0] - start[0]
            error = math.hypot(start[2] - start[1], end[2] - end[1]) / 2
            limits = math.exp(change - error), math.exp(change + error)
            found[after.arm] = Interval(math.exp(change), *limits)
    return found


def print_outcomes(outcomes: Sequence[Outcome], output: Console) -> None:
    """Print the last day's verdict and arms, how these grew since the first day, and what was predicted."""
    last, grown = outcomes[-1], growth(outcomes)
    names = {arm.arm: f"{arm.arm} {arm.recommender}" for arm in last.arms}
    verdict = f"[bold]{last.decision}[/]: {last.reason}\n"
    output.print(verdict, soft_wrap=True, highlight=False)

    table = Table("arm", box=None)
    table.title = "Listening time of a session in tracks, with 95 % intervals"
    columns = ["time", f"over {names[last.arms[0].arm]}"]
    if last.best_simple:
        columns.append(f"over {names[last.best_simple]}, the best simple arm")
    if grown:
        columns.append("lift since day 1")
    for column in columns:
        table.add_column(column, justify="right")
    for arm in last.arms:
        cells = [numbers.number(arm.mean), _effect_text(arm.effect_pct)]
        if last.best_simple:
            cells.append(_effect_text(arm.over_simple_pct))
        if arm.arm in grown:
            cells.append(_growth_text(grown[arm.arm]))
        table.add_row(names[arm.arm], *cells)
    output.print(table)

    predictions = [row for outcome in outcomes for row in outcome.predictions]
    if predictions:
        predicted = predictions_table(predictions)
        predicted.box = None
        output.print("", predicted)


def _effect_text(effect: Interval | None) -> str:
    if effect is None:
        return numbers.NOTHING
    limits = numbers.interval(effect.lower, effect.upper, 0)
    return f"{numbers.change(effect.value, 0)} ({limits})"


def _growth_text(factor: Interval) -> str:
    change = "not certain"
    if factor.lower > 1:
        change = "grew"
    elif factor.upper < 1:
        change = "shrank"
    limits = f"{factor.lower:.2f} … {factor.upper:.2f}"
    return f"{change}: \N{MULTIPLICATION SIGN} {factor.value:.2f} ({limits})"
