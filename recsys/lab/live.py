"""The live experiment: what the service serves, and what its log says so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.page.figures import draw_effects
from analysis.ab.report import Report, build_report
from analysis.page.figures import Figure
from looplib.errors import UserError
from recsys.lab.publishing import Service


@dataclass(frozen=True)
class Look:
    """The experiment at one moment."""

    url: str  # address of the service
    served: Mapping[str, Any] | None  # its version and experiments, as it describes them; None if it does not answer
    report: Report | None  # on its log so far, with intervals that hold on every day; None where there is none
    note: str  # the verdict so far, or why something is missing

    @property
    def effects(self) -> dict[str, MetricEffect]:
        """The effect on the listening time of a session by arm."""
        return {found.arm: found for found in self.report.effects if found.role == "primary"} if self.report else {}

    @property
    def means(self) -> dict[str, float | None]:
        """The mean listening time of a session by arm."""
        found = {arm: effect.arm_value for arm, effect in self.effects.items()}
        return found | {self.report.control: effect.control_value for effect in self.effects.values() if self.report}

    @property
    def figure(self) -> Figure | None:
        """The effects as a chart; None while there is none."""
        return draw_effects(self.report)[0] if self.report and self.effects else None


def look(service: Service, log: Path | None) -> Look:
    """Look at a service and its log as they are now."""
    served = None
    try:
        served = service.ask("GET", "/experiments")
        if log is None:
            return Look(service.url, served, None, "no event log is given")
        (deciding,) = (experiment for experiment in served["experiments"] if experiment["decides"])
        shares = {arm["name"]: arm["share"] for arm in deciding["arms"]}
        settings = AbConfig(control=deciding["arms"][0]["name"], shares=shares, secondary=())
        report = build_report([log], deciding["name"], settings)
    except UserError as error:
        return Look(service.url, served, None, str(error))
    return Look(service.url, served, report, f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip())
