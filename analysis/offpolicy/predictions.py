"""What off-policy estimates predicted, beside what an experiment then measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.errors import AnalysisError
from analysis.offpolicy.report import ListEstimate


@dataclass(frozen=True)
class Prediction:
    """An arm's mean listening time of a recommended track, predicted and measured.

    Attributes:
        arm: The arm, and the recommendations that it served.
        predicted: The estimate.
        predicted_lower: Lower end of its interval.
        predicted_upper: Upper end.
        measured: The arm's metric in the experiment.
        measured_lower: `measured` less the margin of the effect's interval, which includes the control's noise.
        measured_upper: `measured` and the margin.
        error_pct: By how much the estimate missed, in % of what was measured; below 0 where it was too low.
        agrees: Whether the intervals overlap.
    """

    arm: str
    predicted: float
    predicted_lower: float
    predicted_upper: float
    measured: float
    measured_lower: float
    measured_upper: float
    error_pct: float
    agrees: bool


def compare(estimates: Sequence[ListEstimate], report: Path, metric: str) -> list[Prediction]:
    """Compare estimates with the arms of a report of `analysis.ab` that have their names.

    Args:
        estimates: The estimates; their names are arms.
        report: The experiment's `report.json`.
        metric: The report's metric that is the mean listening time of a recommended track.

    Raises:
        AnalysisError: The report cannot be read, or has no such arm or metric.
    """
    effects = _effects(report, metric)
    unknown = [estimate.name for estimate in estimates if estimate.name not in effects]
    if unknown:
        raise AnalysisError(
            f"{report}: no arm {unknown[0]}; name the recommendations by their arms, NAME=FILE, of "
            f"{', '.join(sorted(effects))}"
        )
    return [_prediction(estimate, effects[estimate.name]) for estimate in estimates]


def table(predictions: Sequence[Prediction], days: Sequence[int] = ()) -> Table:
    """Return the predictions as a table for the terminal, with the day of each where days are given."""
    drawn = Table(title="Share heard of a recommended track: predicted and measured, 95 % intervals")
    for column in (*(("day",) if days else ()), "arm", "predicted", "measured", "error", "intervals overlap"):
        drawn.add_column(column, justify="right")
    for index, row in enumerate(predictions):
        drawn.add_row(
            *map(str, days[index : index + 1]),
            row.arm,
            f"{row.predicted:.4f} ({row.predicted_lower:.4f} … {row.predicted_upper:.4f})",
            f"{row.measured:.4f} ({row.measured_lower:.4f} … {row.measured_upper:.4f})",
            f"{row.error_pct:+.1f} %",
            "yes" if row.agrees else "no",
        )
    return drawn


def _effects(report: Path, metric: str) -> dict[str, dict[str, Any]]:
    """Return the report's effects on the metric, by arm."""
    try:
        rows = orjson.loads(report.read_bytes())["effects"]
        found = {row["arm"]: row for row in rows if row["metric"] == metric}
        known = sorted({row["metric"] for row in rows})
    except OSError as error:
        raise AnalysisError(f"{report}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{report}: not a report of analysis.ab ({error!r})") from None
    if not found:
        raise AnalysisError(f"{report}: no metric {metric}; it has {', '.join(known) or 'none'}")
    return found


def _prediction(estimate: ListEstimate, effect: dict[str, Any]) -> Prediction:
    predicted, measured = estimate.estimate.best, effect["arm_value"]
    if not measured or effect["effect"] is None:
        raise AnalysisError(f"arm {estimate.name} has no value of {effect['metric']} in the report")
    lower = measured - (effect["effect"] - effect["lower"])
    upper = measured + (effect["upper"] - effect["effect"])
    return Prediction(
        arm=estimate.name,
        predicted=predicted.value,
        predicted_lower=predicted.lower,
        predicted_upper=predicted.upper,
        measured=measured,
        measured_lower=lower,
        measured_upper=upper,
        error_pct=100 * (predicted.value / measured - 1),
        agrees=predicted.lower <= upper and lower <= predicted.upper,
    )
