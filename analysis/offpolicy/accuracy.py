"""What off-policy estimates foretold, beside what an experiment then measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.errors import AnalysisError
from analysis.offpolicy.report import Valued


@dataclass(frozen=True)
class Foretold:
    """An arm's mean listening time of a recommended track, foretold and measured.

    Attributes:
        arm: The arm, and the recommendations that it served.
        foretold: The estimate.
        foretold_lower: Lower end of its interval.
        foretold_upper: Upper end.
        measured: The arm's metric in the experiment.
        measured_lower: It less the margin of the effect's interval; the control's own noise is in it.
        measured_upper: It and the margin.
        error_pct: By how much the estimate missed, in % of what was measured; below 0 where it was too low.
        agrees: Whether the intervals meet.
    """

    arm: str
    foretold: float
    foretold_lower: float
    foretold_upper: float
    measured: float
    measured_lower: float
    measured_upper: float
    error_pct: float
    agrees: bool


def compare(valued: Sequence[Valued], report: Path, metric: str) -> list[Foretold]:
    """Puts estimates beside the arms of a report of `analysis.ab` that have their names.

    Args:
        valued: The estimates; their names are arms.
        report: The experiment's `report.json`.
        metric: The report's metric that is the mean listening time of a recommended track.

    Raises:
        AnalysisError: The report cannot be read, or has no such arm or metric.
    """
    effects = _effects(report, metric)
    unknown = [one.name for one in valued if one.name not in effects]
    if unknown:
        raise AnalysisError(
            f"{report}: no arm {unknown[0]}; name the recommendations by their arms, NAME=FILE, of "
            f"{', '.join(sorted(effects))}"
        )
    return [_row(one, effects[one.name]) for one in valued]


def table(rows: Sequence[Foretold]) -> Table:
    """The rows for people."""
    drawn = Table(title="Mean listening time of a recommended track: foretold and measured, 95 % intervals")
    drawn.add_column("arm")
    for column in ("foretold", "measured", "error"):
        drawn.add_column(column, justify="right")
    drawn.add_column("intervals meet")
    for row in rows:
        drawn.add_row(
            row.arm,
            f"{row.foretold:.4f}  {row.foretold_lower:.4f} .. {row.foretold_upper:.4f}",
            f"{row.measured:.4f}  {row.measured_lower:.4f} .. {row.measured_upper:.4f}",
            f"{row.error_pct:+.1f} %",
            "yes" if row.agrees else "no",
        )
    return drawn


def _effects(report: Path, metric: str) -> dict[str, dict[str, Any]]:
    """The report's effects on the metric, by arm."""
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


def _row(one: Valued, effect: dict[str, Any]) -> Foretold:
    estimate, measured = one.estimate, effect["arm_value"]
    if measured is None or effect["effect"] is None or not measured:
        raise AnalysisError(f"arm {one.name} has no value of {effect['metric']} in the report")
    below, above = effect["effect"] - effect["lower"], effect["upper"] - effect["effect"]
    lower, upper = measured - below, measured + above
    return Foretold(
        arm=one.name,
        foretold=estimate.value,
        foretold_lower=estimate.lower,
        foretold_upper=estimate.upper,
        measured=measured,
        measured_lower=lower,
        measured_upper=upper,
        error_pct=100 * (estimate.value / measured - 1),
        agrees=estimate.lower <= upper and lower <= estimate.upper,
    )
