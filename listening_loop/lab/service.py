"""What is served: the live experiment, and the versions that can be served."""

from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.page.figures import draw_effects
from analysis.ab.report import build_report
from listening_loop.client import ServiceClient
from looplib.errors import UserError


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
        is none, and its chart; and why something is missing.
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
    return {"served": served, "report": report, "figure": figure, "note": ""}
