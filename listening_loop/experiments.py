"""Report on an experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.ab.config import AbConfig
from analysis.ab.page.page import render
from analysis.ab.report import Report, build_report
from analysis.ab.verdict import Verdict
from listening_loop.frames import Frame, to_frame
from listening_loop.runs import page_frame
from looplib.config import parse_config


class Experiment:
    """An A/B report; a notebook shows its page."""

    def __init__(self, report: Report) -> None:
        """Take a report."""
        self.report = report

    @property
    def verdict(self) -> Verdict:
        """What to do, and why."""
        return self.report.verdict

    @property
    def effects(self) -> Frame:
        """Effect of each arm on each metric, with interval and adjusted p-value."""
        rows = [
            {
                "arm": effect.arm,
                "metric": effect.metric,
                "role": effect.role,
                "control": effect.control_value,
                "value": effect.arm_value,
                "effect_pct": effect.relative.effect_pct,
                "lower_pct": effect.relative.lower_pct,
                "upper_pct": effect.relative.upper_pct,
                "p_value": effect.adjusted_p_value,
            }
            for effect in self.report.effects
        ]
        return to_frame(pa.Table.from_pylist(rows))

    def __repr__(self) -> str:
        """Return the verdict and its reason."""
        verdict = self.verdict
        return f"<Experiment {self.report.experiment}: {verdict.decision} {verdict.arm or ''}: {verdict.reason}>"

    def _repr_html_(self) -> str:
        return page_frame(render(self.report))


def ab(
    logs: str | Path | Sequence[str | Path],
    experiment: str,
    *,
    control: str = "C",
    **settings: Any,  # noqa: ANN401  values of AbConfig
) -> Experiment:
    """Report on an experiment from event logs or a session store.

    Args:
        logs: Files, folders, patterns, or a store.
        experiment: Its name in the log.
        control: The arm that the others are compared with.
        settings: Of the A/B configuration, such as `alpha=0.01`.

    Raises:
        Error: There is no such experiment, no control, or nothing to compare it with.
    """
    paths = [logs] if isinstance(logs, (str, Path)) else list(logs)
    config = parse_config(AbConfig, {"control": control, **settings}, "the arguments")
    return Experiment(build_report(paths, experiment, config))
