"""The live experiment: what the service serves, and what its log says so far."""

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.report import Report, build_report
from looplib.errors import UserError
from recsys.errors import LabError
from recsys.lab.publishing import Service

_FRESH_S = 10.0
_METRIC = "mean_time_per_session"
_OPEN = ".events-*"  # segments that the service still writes to


@dataclass(frozen=True)
class Look:
    """The experiment as it stands.

    Attributes:
        url: The service.
        problem: Why nothing is known; None if it answers.
        version: The model that is served.
        created_at: When it was made.
        refused: Why a newer one is not.
        experiments: As the service tells them.
        arms: Figures of the deciding experiment's arms.
        events: Events behind these.
        note: A word about them.
    """

    url: str
    problem: str | None = None
    version: str | None = None
    created_at: datetime | None = None
    refused: str | None = None
    experiments: tuple[dict[str, Any], ...] = ()
    arms: dict[str, dict[str, float | None]] = field(default_factory=dict)
    events: int | None = None
    note: str = "no event log is given"


class Live:
    """Looks at most every few seconds, however often it is asked."""

    def __init__(self, service: Service, log: Path | None) -> None:
        """Looks at a service and its log."""
        self._service, self._log = service, log
        self._lock = threading.Lock()
        self._last: tuple[float, Look] | None = None

    def look(self) -> Look:
        """The experiment now, or a few seconds ago."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH_S:
                self._last = time.monotonic(), self._look()
            return self._last[1]

    def forget(self) -> None:
        """Makes the next look a new one."""
        with self._lock:
            self._last = None

    def _look(self) -> Look:
        try:
            told = self._service.experiments()
        except LabError as error:
            return Look(self._service.url, problem=str(error))
        look = Look(
            self._service.url,
            version=told["version"],
            created_at=datetime.fromisoformat(told["created_at"]),
            refused=told["refused"],
            experiments=tuple(told["experiments"]),
        )
        if self._log is None:
            return look
        decides = next(each for each in look.experiments if each["decides"])
        try:
            report = _read_log(self._log, decides)
        except UserError as error:
            return replace(look, note=str(error))
        verdict = f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip()
        return replace(look, arms=_figures(report), events=report.lines.good, note=verdict)


def _read_log(log: Path, experiment: dict[str, Any]) -> Report:
    """The report on the log as it stands, the segments that are still written to included."""
    shares = {arm["name"]: arm["share"] for arm in experiment["arms"]}
    settings = AbConfig(control=experiment["arms"][0]["name"], shares=shares)
    with tempfile.TemporaryDirectory() as name:
        for number, segment in enumerate(sorted(log.glob(_OPEN))):
            _copy_whole_lines(segment, Path(name) / f"open-{number}.jsonl")
        copies = [name] if any(Path(name).iterdir()) else []
        return build_report(
            [log, *copies] if any(log.glob("events-*")) else copies or [log], experiment["name"], settings
        )


def _copy_whole_lines(segment: Path, copy: Path) -> None:
    try:
        shutil.copyfile(segment, copy)
    except FileNotFoundError:  # closed in the meantime, and so in the log itself
        return
    content = copy.read_bytes()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])


def _figures(report: Report) -> dict[str, dict[str, float | None]]:
    """Listeners, sessions, the mean of the metric, and its effect with the interval that holds on every day."""
    rows = [row for row in report.course_table if row.metric == _METRIC]
    means = {report.control: rows[0].control_mean} | {row.arm: row.arm_mean for row in rows}
    ends = {line.arm: line.days[-1].sequential for line in report.timelines if line.metric == _METRIC and line.days}
    return {
        arm: {
            "listeners": report.listeners.get(arm),
            "sessions": report.sessions.get(arm),
            "mean": means.get(arm),
            "effect": ends[arm].effect_pct if arm in ends else None,
            "lower": ends[arm].lower_pct if arm in ends else None,
            "upper": ends[arm].upper_pct if arm in ends else None,
        }
        for arm in report.arms
    }
