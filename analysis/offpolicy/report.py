"""Estimates of several lists, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from analysis.offpolicy.estimate import OffPolicyEstimate
from analysis.statistics.effects import Interval
from looplib.tables import table


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
    names = ["recommendations", "by SNIPS", "conclusive", "served", "by IPS"]
    names += ["matched", "ESS"]
    rows = [
        [
            row.name,
            _text(row.estimate.snips),
            "no" if row.estimate.reasons else "yes",
            row.serving,
            _text(row.estimate.ips),
            f"{row.estimate.matched:,} of {row.estimate.requests:,}",
            f"{row.estimate.ess:,.0f}",
        ]
        for row in sorted(estimates, key=lambda row: -row.estimate.best.value)
    ]
    rows.append(["as logged", _text(logged), *[""] * (len(names) - 2)])
    caption = "Share heard of a recommended track, with 95 % intervals."
    return table(names, rows, needed=3, numbers_from=1, caption=caption)


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"
