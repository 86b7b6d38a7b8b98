"""Estimates of several lists, alone and beside what an experiment then measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.errors import AnalysisError
from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.statistics.effects import Interval

LISTENING_TIME = "time_per_recommended_track"  # the metric of `analysis.ab` that is predicted


@dataclass(frozen=True)
class ListEstimate:
    """What recommendations are worth."""

    name: str  # an arm's if they were served
    file: str
    serving: str
    estimate: OffPolicyEstimate

    def document(self) -> dict[str, Any]:
        """Return the estimate as JSON's types."""
        found = asdict(self.estimate)
        del found["per_listener"]
        conclusive = not self.estimate.reasons
        named = {"name": self.name, "file": self.file, "serving": self.serving, "conclusive": conclusive}
        return named | asdict(self.estimate.best) | found


@dataclass(frozen=True)
class Prediction:
    """An arm's mean listening time of a recommended track, predicted and measured."""

    arm: str  # the arm, and the recommendations that it served
    predicted: Interval
    measured: Interval  # with the margin of the effect's interval, which includes the control's noise
    error_pct: float  # by how much the estimate missed, in % of what was measured; below 0 where it was too low
    agrees: bool  # the intervals overlap


def compare(estimates: Sequence[ListEstimate], report: Path) -> list[Prediction]:
    """Compare estimates with the arms of the same names in an experiment's `report.json`.

    Raises:
        AnalysisError: The report cannot be read, or has no value for an arm.
    """
    try:
        rows = orjson.loads(report.read_bytes())["effects"]
        effects = {row["arm"]: row for row in rows if row["metric"] == LISTENING_TIME and row["effect"] is not None}
    except OSError as error:
        raise AnalysisError(f"{report}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{report}: not a report of analysis.ab ({error!r})") from None
    predictions = []
    for listed in estimates:
        effect = effects.get(listed.name)
        if effect is None or not effect["arm_value"]:
            raise AnalysisError(
                f"{report}: no {LISTENING_TIME} of an arm {listed.name}; name the recommendations by their arms, "
                f"NAME=FILE, of {', '.join(sorted(effects)) or 'none'}"
            )
        predicted, value, shift = listed.estimate.best, effect["arm_value"], effect["arm_value"] - effect["effect"]
        measured = Interval(value, shift + effect["lower"], shift + effect["upper"])
        agrees = predicted.lower <= measured.upper and measured.lower <= predicted.upper
        predictions.append(Prediction(listed.name, predicted, measured, 100 * (predicted.value / value - 1), agrees))
    return predictions


def estimates_table(estimates: Sequence[ListEstimate], logged: Interval) -> Table:
    """Return the estimates, highest first, and the value of the logged recommendations."""
    table = Table(title="Mean listening time of a recommended track, with its 95 % interval over listeners")
    for column in ("recommendations", "served"):
        table.add_column(column)
    for column in ("IPS", "SNIPS", "doubly robust", "matched", "ESS"):
        table.add_column(column, justify="right")
    table.add_column("conclusive")
    for row in sorted(estimates, key=lambda row: -row.estimate.best.value):
        found = row.estimate
        table.add_row(
            row.name,
            row.serving,
            *("" if interval is None else _text(interval) for interval in (found.ips, found.snips, found.dr)),
            f"{found.matched:,} of {found.requests:,}",
            f"{found.ess:,.0f}",
            "no" if found.reasons else "yes",
        )
    table.add_row("as logged", "", "", _text(logged), "", "", "", "")
    return table


def predictions_table(predictions: Sequence[Prediction], days: Sequence[int] = ()) -> Table:
    """Return the predictions, with the day of each where days are given."""
    table = Table(title="Share heard of a recommended track: predicted and measured, 95 % intervals")
    for column in (*(("day",) if days else ()), "arm", "predicted", "measured", "error", "intervals overlap"):
        table.add_column(column, justify="right")
    for index, row in enumerate(predictions):
        error, agrees = f"{row.error_pct:+.1f} %", "yes" if row.agrees else "no"
        day = map(str, days[index : index + 1])
        table.add_row(*day, row.arm, _text(row.predicted), _text(row.measured), error, agrees)
    return table


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"
