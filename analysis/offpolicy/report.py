"""Estimates of several lists, alone and beside what an experiment then measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.errors import AnalysisError
from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.page import numbers
from analysis.statistics.effects import Interval

LISTENING_TIME = "time_per_recommended_track"  # the metric of `analysis.ab`


@dataclass(frozen=True)
class ListEstimate:
    """What recommendations are worth."""

    name: str  # an arm's if they were served
    file: str
    serving: str
    estimate: OffPolicyEstimate

    def document(self) -> dict[str, Any]:
        """Return the estimate as JSON's types."""
        document = {
            "name": self.name,
            "file": self.file,
            "serving": self.serving,
            "conclusive": not self.estimate.reasons,
        }
        estimate = asdict(self.estimate)
        del estimate["per_listener"]
        return document | asdict(self.estimate.best) | estimate


@dataclass(frozen=True)
class Prediction:
    """The share heard of a track that an arm recommended, predicted and measured."""

    arm: str  # the arm, and the recommendations that it served
    predicted: Interval
    # with the margin of the effect's interval, which includes the control's noise
    measured: Interval
    # by how much the estimate missed, in % of what was measured; below 0 where it was too low
    error_pct: float
    agrees: bool  # the intervals overlap


def compare(estimates: Sequence[ListEstimate], report: Path) -> list[Prediction]:
    """Compare estimates with the arms of the same names in an experiment's `report.json`.

    Raises:
        AnalysisError: The report cannot be read, or has no value for an arm.
    """
    effects = _read_effects(report)
    predictions = []
    for listed in estimates:
        if listed.name not in effects:
            known = ", ".join(sorted(effects)) or "none"
            raise AnalysisError(
                f"{report}: no {LISTENING_TIME} of an arm {listed.name}; "
                f"name the recommendations by their arms, NAME=FILE, of {known}"
            )
        effect = effects[listed.name]
        predictions.append(_compare(listed.name, listed.estimate.best, effect))
    return predictions


def _read_effects(report: Path) -> dict[str, Mapping[str, Any]]:
    """Return the effects on the listening time of a recommended track by arm."""
    try:
        return {
            row["arm"]: row
            for row in orjson.loads(report.read_bytes())["effects"]
            if row["metric"] == LISTENING_TIME
            and row["effect"] is not None
            and row["arm_value"]
        }
    except OSError as error:
        raise AnalysisError(f"{report}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(
            f"{report}: not a report of analysis.ab ({error!r})"
        ) from None


def _compare(arm: str, predicted: Interval, effect: Mapping[str, Any]) -> Prediction:
    value = effect["arm_value"]
    control_value = value - effect["effect"]
    measured = Interval(
        value,
        control_value + effect["lower"],
        control_value + effect["upper"],
    )
    return Prediction(
        arm=arm,
        predicted=predicted,
        measured=measured,
        error_pct=100 * (predicted.value / value - 1),
        agrees=(
            predicted.lower <= measured.upper and measured.lower <= predicted.upper
        ),
    )


def estimates_table(estimates: Sequence[ListEstimate], logged: Interval) -> Table:
    """Lay out the estimates, highest first, and the value of the logged recommendations."""
    table = Table("recommendations", "served")
    table.title = "Share heard of a recommended track, with 95 % intervals"
    for column in ("by IPS", "by SNIPS", "matched", "ESS"):
        table.add_column(column, justify="right")
    table.add_column("conclusive")
    for row in sorted(estimates, key=lambda row: -row.estimate.best.value):
        estimate = row.estimate
        table.add_row(
            row.name,
            row.serving,
            _text(estimate.ips),
            _text(estimate.snips),
            f"{estimate.matched:,} of {estimate.requests:,}",
            f"{estimate.ess:,.0f}",
            "no" if estimate.reasons else "yes",
        )
    table.add_row("as logged", "", _text(logged))
    return table


def predictions_table(predictions: Sequence[Prediction]) -> Table:
    """Lay out the predictions beside what was measured."""
    table = Table(title="Share heard of a recommended track, 95 % intervals")
    for column in ("arm", "predicted", "measured", "error", "overlap"):
        table.add_column(column, justify="right")
    for row in predictions:
        table.add_row(
            row.arm,
            _text(row.predicted),
            _text(row.measured),
            numbers.change(row.error_pct, 1),
            "yes" if row.agrees else "no",
        )
    return table


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"
