"""What is served: the live experiment, versions, and publishing a run's winner."""

import threading
from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.page.figures import draw_effects
from analysis.ab.report import build_report
from listening_loop.api.serving import ServiceClient
from listening_loop.errors import LabError
from looplib.errors import UserError
from recsys.config import ExportConfig
from recsys.export.export import export_run
from recsys.report.runs import Run


class Publisher:
    """Refits and publishes in the background: a large model takes minutes, a page does not."""

    def __init__(self, service: ServiceClient) -> None:
        """Publish to a service."""
        self.run = ""  # whose winner is or was published last
        self.state = ""  # "running", "done" or "failed"
        self.outcome = ""  # the version, or why it failed
        self._service = service

    def start(self, run: Run, published: Path, options: ExportConfig) -> None:
        """Begin to publish a run's winner to a folder of versions.

        Raises:
            LabError: Another publication is running.
        """
        if self.state == "running":
            raise LabError(f"{self.run} is being published; wait until that is done")
        self.run, self.state, self.outcome = run.name, "running", ""
        arguments = (run.folder, published, options)
        threading.Thread(target=self._publish, args=arguments, daemon=True).start()

    def _publish(self, folder: Path, published: Path, options: ExportConfig) -> None:
        try:
            version = Path(export_run(folder, published, options)).resolve().name
            served = self._service.ask("POST", "/admin/reload")["version"]
        except Exception as error:
            self.state, self.outcome = "failed", str(error)
            if not isinstance(error, UserError):
                raise
        else:
            self.outcome = f"version {version}; the service serves {served}"
            self.state = "done"


def list_versions(published: Path) -> list[str]:
    """Return the versions that a service can serve, the newest first."""
    found = sorted(
        published.glob("versions/*-*"), key=lambda path: path.stat().st_mtime
    )
    return [folder.name for folder in reversed(found)]


def look(service: ServiceClient, log: Path | None) -> dict[str, Any]:
    """Look at a service and its log as they are now.

    Returns:
        Values for the page: what the service says of its version and experiments, None if it does
        not answer; the report on its log, with intervals that hold on every day, None where there
        is none, and its chart; and the verdict so far, or why something is missing.
    """
    found: dict[str, Any] = {"served": None, "report": None, "figure": None}
    try:
        served = service.ask("GET", "/experiments")
        found["served"] = served
        if log is None:
            return {**found, "note": "no event log is given"}
        deciding = next(row for row in served["experiments"] if row["decides"])
        shares = {arm["name"]: arm["share"] for arm in deciding["arms"]}
        control = deciding["arms"][0]["name"]
        settings = AbConfig(control=control, shares=shares, secondary=())
        report = build_report([log], deciding["name"], settings)
    except UserError as error:
        return {**found, "note": str(error)}
    figure = draw_effects(report) if report.effects else None
    note = f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip()
    return {"served": served, "report": report, "figure": figure, "note": note}
