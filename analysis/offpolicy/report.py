"""Estimates of several lists, alone and beside what an experiment then measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from analysis.errors import AnalysisError
from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.offpolicy.session_time import SessionTime
from analysis.page import numbers
from analysis.statistics.effects import Interval

# The metrics of `analysis.ab` that are predicted.
LISTENING_TIME, SESSION_TIME = "time_per_recommended_track", "time_per_session"
_SHARE = "share heard of a recommended track"


@dataclass(frozen=True)
class ListEstimate:
    """What recommendations are worth."""

    name: str  # an arm's if they were served
    file: str
    serving: str
    estimate: OffPolicyEstimate
    session: SessionTime

    def document(self) -> dict[str, Any]:
        """Return the estimate as JSON's types."""
        found = asdict(self.estimate)
        del found["per_listener"]
        named: dict[str, Any] = {
            "name": self.name,
            "file": self.file,
            "serving": self.serving,
        }
        named["conclusive"] = not self.estimate.reasons
        return (
            named
            | asdict(self.estimate.best)
            | found
            | {"session_time": asdict(self.session)}
        )


@dataclass(frozen=True)
class Prediction:
    """What an arm's recommendations are worth, predicted and measured."""

    arm: str  # the arm, and the recommendations that it served
    predicted: Interval
    # with the margin of the effect's interval, which includes the control's noise
    measured: Interval
    # by how much the estimate missed, in % of what was measured; below 0 where it was too low
    error_pct: float
    agrees: bool  # the intervals overlap
    what: str = _SHARE  # what is predicted


def compare(estimates: Sequence[ListEstimate], report: Path) -> list[Prediction]:
    """Compare estimates with the arms of the same names in an experiment's `report.json`.

    Raises:
        AnalysisError: The report cannot be read, or has no value for an arm.
    """
    try:
        rows = orjson.loads(report.read_bytes())["effects"]
        effects = {
            (row["arm"], row["metric"]): row
            for row in rows
            if row["effect"] is not None and row["arm_value"]
        }
    except OSError as error:
        raise AnalysisError(f"{report}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(
            f"{report}: not a report of analysis.ab ({error!r})"
        ) from None
    predictions = []
    for listed in estimates:
        if (listed.name, LISTENING_TIME) not in effects:
            known = sorted(arm for arm, metric in effects if metric == LISTENING_TIME)
            raise AnalysisError(
                f"{report}: no {LISTENING_TIME} of an arm {listed.name}; name the recommendations by their arms, "
                f"NAME=FILE, of {', '.join(known) or 'none'}"
            )
        for what, metric, predicted in (
            (_SHARE, LISTENING_TIME, listed.estimate.best),
            (
                "time of a session, from the share",
                SESSION_TIME,
                listed.session.identity,
            ),
            ("time of a session, run forward", SESSION_TIME, listed.session.simulated),
        ):
            # a report may leave the session's time out
            if effect := effects.get((listed.name, metric)):
                predictions.append(_prediction(listed.name, what, predicted, effect))
    return predictions


def _prediction(
    arm: str, what: str, predicted: Interval, effect: Mapping[str, Any]
) -> Prediction:
    value, shift = effect["arm_value"], effect["arm_value"] - effect["effect"]
    measured = Interval(value, shift + effect["lower"], shift + effect["upper"])
    agrees = predicted.lower <= measured.upper and measured.lower <= predicted.upper
    return Prediction(
        arm, predicted, measured, 100 * (predicted.value / value - 1), agrees, what
    )


def estimates_table(
    estimates: Sequence[ListEstimate], logged: Interval, logged_time: Interval
) -> Table:
    """Return the estimates, highest first, and the value of the logged recommendations."""
    table = Table("recommendations", "served")
    table.title = "Share heard of a recommended track, and time of a session in tracks, with 95 % intervals"
    for column in (
        "share by IPS",
        "by SNIPS",
        "session by the share",
        "session run forward",
        "matched",
        "ESS",
    ):
        table.add_column(column, justify="right")
    table.add_column("conclusive")
    for row in sorted(estimates, key=lambda row: -row.session.simulated.value):
        found, session = row.estimate, row.session
        table.add_row(
            row.name,
            row.serving,
            *map(_text, (found.ips, found.snips, session.identity, session.simulated)),
            f"{found.matched:,} of {found.requests:,}",
            f"{found.ess:,.0f}",
            "no" if found.reasons else "yes",
        )
    table.add_row(
        "as logged", "", "", _text(logged), "", _text(logged_time), "", "", ""
    )
    return table


def predictions_table(predictions: Sequence[Prediction]) -> Table:
    """Return the predictions beside what was measured."""
    table = Table(title="Predicted and measured, 95 % intervals")
    for column in ("arm", "what", "predicted", "measured", "error", "overlap"):
        table.add_column(column, justify="right")
    for row in predictions:
        error, agrees = numbers.change(row.error_pct, 1), "yes" if row.agrees else "no"
        table.add_row(
            row.arm, row.what, _text(row.predicted), _text(row.measured), error, agrees
        )
    return table


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"
