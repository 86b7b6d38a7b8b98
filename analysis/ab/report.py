"""An A/B report: from an experiment's log or table to evidence and a verdict.

Percentages are of the control's value. A number that does not exist, such as the effect on a
control whose mean is 0, is NaN, and null in JSON. Everything by arm names the control first.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.ab.config import AbConfig
from analysis.ab.events import (
    assign_arms,
    find_experiment,
    read_arrivals,
    read_events,
)
from analysis.ab.evidence import DAY_MS, Evidence, order_arms
from analysis.ab.listeners import LoggedExperiment, check_metrics
from analysis.ab.segments import read_groups
from analysis.ab.table import Table
from analysis.ab.verdict import Verdict, decide, needs_confirmation
from analysis.errors import AnalysisError
from looplib.experiments import Experiment


@dataclass(frozen=True)
class Report:
    """An A/B report: the evidence, and the verdict on it."""

    experiment: str  # its name
    config: AbConfig  # metrics, and the rule that decides
    evidence: Evidence
    verdict: Verdict  # what to do
    sources: tuple[str, ...]  # the logs, the store or the table that was read
    plan: Experiment | None = None  # the experiment's file

    def to_json(self) -> dict[str, Any]:
        """Convert to the document of `report.json`; testers are left out."""
        plan = self.plan and self.plan.model_dump(mode="json", exclude={"overrides"})
        return {
            **vars(self.evidence),
            "experiment": self.experiment,
            "verdict": self.verdict,
            "sources": self.sources,
            "config": self.config.model_dump(mode="json"),
            "plan": plan,
        }


def build_report(
    paths: Sequence[str | Path],
    experiment: str,
    config: AbConfig,
    plan: Experiment | None = None,
    *,
    groups: tuple[Path, str] | None = None,
    values_file: Path | None = None,
) -> Report:
    """Report on an experiment from its logs.

    Args:
        paths: Files, folders and patterns of logs, and session stores.
        experiment: Its name in the log; "" if the log has a single experiment.
        config: Metrics, and the rule that decides.
        plan: The experiment's file.
        groups: A file of listeners and its column of groups, as `segments.read_groups` takes them.
        values_file: Parquet file for the values of each listener; not written by default.

    Raises:
        AnalysisError: A path cannot be read, a metric's file is wrong, or there is nothing to
            compare.
    """
    check_metrics(config)
    groups_of = read_groups(*groups) if groups else None
    with read_events(paths) as events:
        name = find_experiment(events, experiment)
        logged = assign_arms(events, name, plan)
        order_arms(logged, config.control, f"experiment {name}")
        days, arrivals, total = read_arrivals(events)
        listeners = np.sum([*arrivals.values()], axis=0)
        # the day on which the planned listeners are reached, or the last
        arrived = np.cumsum(listeners)[:-1]
        end = days[np.searchsorted(arrived, config.horizon or math.inf)]
        last = max(int(end), int(days[0]) + config.min_days - 1)
        start_ms = min(row["first_ms"] for row in logged.values())
        answering = {arm: row["own"] for arm, row in logged.items() if row["own"]}
        source = LoggedExperiment(
            events,
            name,
            recommenders=answering | config.recommenders,
            start_ms=max(start_ms, int(days[0]) * DAY_MS),
            days=days[days <= last].tolist(),
            arrivals={arm: new[days <= last].tolist() for arm, new in arrivals.items()},
            periods={arm: row["periods"] or () for arm, row in logged.items()},
            first_listeners=int(listeners[days < days[0] + config.min_days].sum()),
            event_count=total,
            by=groups[1] if groups else "",
            groups=groups_of,
            values_file=values_file,
        )
        return _conclude(source, config, name, events.sources, plan)


def report_on_table(
    table: Table, config: AbConfig, name: str, plan: Experiment | None
) -> Report:
    """Report on a table of listeners, of sessions, or of aggregates.

    Args:
        table: The table.
        config: Metrics, which are its columns, and the rule that decides.
        name: Name of the experiment; "" names it as the table.
        plan: The experiment's file.

    Raises:
        AnalysisError: The table cannot be read, or has nothing to compare.
    """
    if "control" not in config.model_fields_set:
        config = config.model_copy(update={"control": table.find_control()})
    return _conclude(table, config, name or table.name, (table.name,), plan)


def _conclude(
    source: LoggedExperiment | Table,
    config: AbConfig,
    name: str,
    sources: tuple[str, ...],
    plan: Experiment | None,
) -> Report:
    """Decide by the evidence of today, and if needed by the evidence of a day before."""
    evidence = source.evidence(config)
    verdict = decide(evidence, config)
    if needs_confirmation(verdict, evidence, config):
        expected = evidence.expected_listeners
        update = {"min_days": 1, "expected_listeners": expected}
        earlier = config.model_copy(update=update)
        before = None
        with suppress(AnalysisError):  # an arm had no listeners yet
            day_before = source.evidence(earlier, evidence.span_ms[1] - DAY_MS)
            before = decide(day_before, earlier)
        if not before or (before.decision, before.arm) != (
            verdict.decision,
            verdict.arm,
        ):
            verdict = replace(verdict, decision="wait", reason="unconfirmed")
    return Report(name, config, evidence, verdict, sources, plan)
