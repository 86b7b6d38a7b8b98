"""Estimates of several lists, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.statistics.effects import Interval


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


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"
