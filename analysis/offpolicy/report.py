"""Estimates of several lists, as a table for the terminal and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.statistics.effects import Interval


@dataclass(frozen=True)
class ListEstimate:
    """What recommendations are worth.

    Attributes:
        name: What they are called; an arm's name if they were served.
        file: Where they were read.
        serving: How they are served.
        estimate: What they are worth.
    """

    name: str
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


def table(estimates: Sequence[ListEstimate], logged: Interval) -> Table:
    """Return the estimates, highest first, and the value of the logged recommendations."""
    drawn = Table(title="Mean listening time of a recommended track, with its 95 % interval over listeners")
    for column in ("recommendations", "served"):
        drawn.add_column(column)
    for column in ("IPS", "SNIPS", "doubly robust", "matched", "ESS"):
        drawn.add_column(column, justify="right")
    drawn.add_column("conclusive")
    for row in sorted(estimates, key=lambda row: -row.estimate.best.value):
        found = row.estimate
        drawn.add_row(
            row.name,
            row.serving,
            *(_text(interval) for interval in (found.ips, found.snips, found.dr)),
            f"{found.matched:,} of {found.requests:,}",
            f"{found.ess:,.0f}",
            "no" if found.reasons else "yes",
        )
    drawn.add_row("as logged", "", "", _text(logged), "", "", "", "")
    return drawn


def _text(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:.4f}  {interval.lower:.4f} .. {interval.upper:.4f}"
