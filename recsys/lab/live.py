"""The live experiment: what the service serves, and what its log says so far."""

import shutil
import tempfile
import threading
import time
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
from analysis.page.figures import Figure
from looplib.errors import UserError
from recsys.lab.publishing import Service

_FRESH_S = 10.0
_METRIC = "mean_time_per_session"
_OPEN = ".events-*"  # segments that the service still writes to


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
        rows = [row for row in self.report.course_table if row.metric == _METRIC]
        return {self.report.control: rows[0].control_mean} | {row.arm: row.arm_mean for row in rows}

    @property
    def effects(self) -> dict[str, RelativeEffect]:
        """The effect on that by arm, with the interval that holds on every day."""
        lines = self.report.timelines if self.report else ()
        return {line.arm: line.days[-1].sequential for line in lines if line.metric == _METRIC and line.days}


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
        url, served = self._service.url, None
        try:
            served = self._service.experiments()
            if self._log is None:
                return Look(url, served, None, "no event log is given")
            report = _read_log(self._log, deciding(served))
        except UserError as error:
            return Look(url, served, None, str(error))
        return Look(url, served, report, f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip())


def deciding(served: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the experiment that decides which recommender is asked."""
    return next(experiment for experiment in served["experiments"] if experiment["decides"])


def _read_log(log: Path, experiment: Mapping[str, Any]) -> Report:
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


def draw_effects(look: Look) -> Figure | None:
    """Draw each arm's effect so far, with the interval that holds on all days; None while there is none."""
    if look.report is None or look.served is None:
        return None
    recommenders = {arm["name"]: arm["recommender"] for arm in deciding(look.served)["arms"]}
    rows = []
    for arm, effect in look.effects.items():
        value, lower, upper = effect.effect_pct, effect.lower_pct, effect.upper_pct
        is_sure = lower is not None and upper is not None and not lower <= 0 <= upper
        label = f"{arm} {recommenders.get(arm, '')}"
        text = f"{numbers.change(value, 1)} ({numbers.interval(lower, upper, 1)})"
        colour = arm_colour(look.report.arms.index(arm))
        rows.append(intervals.Row(label, text, value, lower, upper, colour, is_sure))
    if not rows:
        return None
    domain = around_zero(end for row in rows for end in (row.value, row.lower, row.upper))
    chart = intervals.draw_intervals({"": rows}, "effect so far, %", domain)
    return Figure(
        "Listening time per session against the control",
        "With intervals that hold on all days at once. A filled mark: the interval does not hold 0.",
        to_svg(chart, "; ".join(f"{row.label}: {row.text}" for row in rows)),
    )
