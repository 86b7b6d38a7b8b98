"""The live experiment: what the service serves, and what its log says so far."""

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.ab.build import build_report
from analysis.ab.config import AbConfig
from analysis.ab.report import Interval, Report
from analysis.charts import intervals
from analysis.charts.svg import arm_colour, around_zero, to_svg
from analysis.page import numbers
from analysis.page.figures import Figure
from looplib.errors import UserError
from recsys.errors import LabError
from recsys.lab.publishing import Service

_FRESH_S = 10.0
_METRIC = "mean_time_per_session"
_OPEN = ".events-*"  # segments that the service still writes to


@dataclass(frozen=True)
class Arm:
    """An arm of the deciding experiment, so far; `effect` has the interval that holds on every day."""

    listeners: int
    sessions: int
    mean: float | None
    effect: Interval | None


@dataclass(frozen=True)
class Look:
    """The experiment at one moment.

    Attributes:
        url: Address of the service.
        problem: Why nothing is known; None if it answers.
        version: The model that is served.
        created_at: When it was made.
        refused: Why a newer one is not served.
        experiments: As the service describes them.
        arms: The deciding experiment's arms.
        events: Events read.
        note: The verdict so far, or why there is none.
    """

    url: str
    problem: str | None = None
    version: str | None = None
    created_at: datetime | None = None
    refused: str | None = None
    experiments: tuple[dict[str, Any], ...] = ()
    arms: dict[str, Arm] = field(default_factory=dict)
    events: int | None = None
    note: str = "no event log is given"


class Live:
    """Looks at the service and its log, at most every few seconds."""

    def __init__(self, service: Service, log: Path | None) -> None:
        """Make one that has not looked yet."""
        self._service, self._log = service, log
        self._lock = threading.Lock()
        self._last: tuple[float, Look] | None = None

    def look(self) -> Look:
        """Return the experiment as it is now, or was a few seconds ago."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH_S:
                self._last = time.monotonic(), self._look()
            return self._last[1]

    def look_again(self) -> None:
        """Make the next look a new one."""
        with self._lock:
            self._last = None

    def _look(self) -> Look:
        try:
            served = self._service.experiments()
        except LabError as error:
            return Look(self._service.url, problem=str(error))
        look = Look(
            self._service.url,
            version=served["version"],
            created_at=datetime.fromisoformat(served["created_at"]),
            refused=served["refused"],
            experiments=tuple(served["experiments"]),
        )
        if self._log is None:
            return look
        try:
            report = _read_log(self._log, next(found for found in look.experiments if found["decides"]))
        except UserError as error:
            return replace(look, note=str(error))
        verdict = f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip()
        return replace(look, arms=_arms(report), events=report.lines.good, note=verdict)


def _read_log(log: Path, experiment: dict[str, Any]) -> Report:
    """Report on the log so far, the segments that are still written to included."""
    shares = {arm["name"]: arm["share"] for arm in experiment["arms"]}
    settings = AbConfig(control=experiment["arms"][0]["name"], shares=shares)
    with tempfile.TemporaryDirectory() as folder:
        for number, segment in enumerate(sorted(log.glob(_OPEN))):
            _copy_whole_lines(segment, Path(folder) / f"open-{number}.jsonl")
        copies = [Path(folder)] if any(Path(folder).iterdir()) else []
        logs = [log, *copies] if any(log.glob("events-*")) else copies or [log]
        return build_report(logs, experiment["name"], settings)


def _copy_whole_lines(segment: Path, copy: Path) -> None:
    try:
        shutil.copyfile(segment, copy)
    except FileNotFoundError:  # closed in the meantime, and so in the log itself
        return
    content = copy.read_bytes()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])


def _arms(report: Report) -> dict[str, Arm]:
    rows = [row for row in report.course_table if row.metric == _METRIC]
    means = {report.control: rows[0].control_mean} | {row.arm: row.arm_mean for row in rows}
    effects = {line.arm: line.days[-1].sequential for line in report.timelines if line.metric == _METRIC and line.days}
    return {
        arm: Arm(report.listeners.get(arm, 0), report.sessions.get(arm, 0), means.get(arm), effects.get(arm))
        for arm in report.arms
    }


def draw_effects(look: Look) -> Figure | None:
    """Draw each arm's effect so far, with the interval that holds on all days; None while there is none."""
    rows = []
    for position, (name, arm) in enumerate(look.arms.items()):
        if arm.effect and arm.effect.effect_pct is not None:
            value, lower, upper = arm.effect.effect_pct, arm.effect.lower_pct, arm.effect.upper_pct
            is_sure = lower is not None and upper is not None and not lower <= 0 <= upper
            text = f"{numbers.change(value, 1)} ({numbers.interval(lower, upper, 1)})"
            rows.append(
                intervals.Row(
                    f"{name} {_recommender(look, name)}", text, value, lower, upper, arm_colour(position), is_sure
                )
            )
    if not rows:
        return None
    domain = around_zero(end for row in rows for end in (row.value, row.lower, row.upper))
    chart = intervals.draw_intervals({"": rows}, "effect so far, %", domain)
    return Figure(
        "Listening time per session against the control",
        "With intervals that hold on all days at once. A filled mark: the interval does not hold 0.",
        to_svg(chart, "; ".join(f"{row.label}: {row.text}" for row in rows)),
    )


def _recommender(look: Look, arm: str) -> str:
    arms = (found for experiment in look.experiments if experiment["decides"] for found in experiment["arms"])
    return next((found["recommender"] for found in arms if found["name"] == arm), "")
