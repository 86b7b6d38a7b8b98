"""The live experiment: what the service serves, and what its log says so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.effects import RelativeEffect
from analysis.ab.report import Report, build_report
from analysis.charts import intervals
from analysis.charts.svg import arm_colour, around_zero, to_svg
from analysis.page import numbers
from analysis.page.render import Figure
from looplib.errors import UserError
from recsys.lab.publishing import Service

_METRIC = "mean_time_per_session"


@dataclass(frozen=True)
class Look:
    """The experiment at one moment."""

    url: str  # address of the service
    served: Mapping[str, Any] | None  # its version and experiments, as it describes them; None if it does not answer
    report: Report | None  # on its log so far; None where there is none
    note: str  # the verdict so far, or why something is missing

    @property
    def means(self) -> dict[str, float | None]:
        """The mean listening time per session by arm."""
        if self.report is None:
            return {}
        rows = [row for row in self.report.effects if row.metric == _METRIC]
        return {self.report.control: rows[0].control_value} | {row.arm: row.arm_value for row in rows}

    @property
    def effects(self) -> dict[str, RelativeEffect]:
        """The effect on that by arm, with the interval that holds on every day."""
        lines = self.report.timelines if self.report else ()
        return {line.arm: line.days[-1].sequential for line in lines if line.metric == _METRIC and line.days}


def look(service: Service, log: Path | None) -> Look:
    """Look at a service and its log as they are now."""
    served = None
    try:
        served = service.ask("GET", "/experiments")
        if log is None:
            return Look(service.url, served, None, "no event log is given")
        report = _read_log(log, _deciding(served))
    except UserError as error:
        return Look(service.url, served, None, str(error))
    return Look(service.url, served, report, f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip())


def _deciding(served: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the experiment that decides which recommender is asked."""
    return next(experiment for experiment in served["experiments"] if experiment["decides"])


def _read_log(log: Path, experiment: Mapping[str, Any]) -> Report:
    shares = {arm["name"]: arm["share"] for arm in experiment["arms"]}
    settings = AbConfig(control=experiment["arms"][0]["name"], shares=shares)
    return build_report([log], experiment["name"], settings)


def draw_effects(live: Look) -> Figure | None:
    """Draw each arm's effect so far, with the interval that holds on all days; None while there is none."""
    if live.report is None or live.served is None or not live.effects:
        return None
    recommenders = {arm["name"]: arm["recommender"] for arm in _deciding(live.served)["arms"]}
    rows = []
    for arm, effect in live.effects.items():
        value, lower, upper = effect.effect_pct, effect.lower_pct, effect.upper_pct
        is_sure = lower is not None and upper is not None and not lower <= 0 <= upper
        text = f"{numbers.change(value, 1)} ({numbers.interval(lower, upper, 1)})"
        colour = arm_colour(live.report.arms.index(arm))
        rows.append(intervals.Row(f"{arm} {recommenders.get(arm, '')}", text, value, lower, upper, colour, is_sure))
    domain = around_zero(end for row in rows for end in (row.value, row.lower, row.upper))
    chart = intervals.draw_intervals({"": rows}, "effect so far, %", domain)
    return Figure(
        "Listening time per session against the control",
        "With intervals that hold on all days at once. A filled mark: the interval does not hold 0.",
        to_svg(chart, "; ".join(f"{row.label}: {row.text}" for row in rows)),
    )
