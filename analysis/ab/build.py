"""From logs and a configuration to a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis import queries
from analysis.ab import data_quality as trust
from analysis.ab import spread
from analysis.ab import tables as listeners
from analysis.ab.config import AbConfig
from analysis.ab.course_table import course_table
from analysis.ab.effects import metric_effects
from analysis.ab.report import Report, Verdict
from analysis.ab.tables import Loaded
from analysis.ab.timeline import iso_date, timelines
from analysis.ab.verdict import Evidence, distrust, judge
from analysis.errors import AnalysisError

_DAY_MS = 86_400_000


def build_report(
    places: Sequence[str | Path],
    experiment: str,
    config: AbConfig,
    *,
    is_aa: bool = False,
    table_only: bool = False,
    memory: str = listeners.MEMORY,
) -> Report:
    """The report of an experiment.

    Args:
        places: Files, folders and patterns of logs, and folders of session stores.
        experiment: Its name in the log.
        config: Metrics, roles, and when to trust.
        is_aa: Whether all arms are the same, so that no effect is expected.
        table_only: The course's table and the sample ratio alone; much faster.
        memory: What DuckDB may use before it spills to the disk.

    Raises:
        EventLogError: A place cannot be read.
        AnalysisError: There is no such experiment, no control, nothing to compare it with, or an arm without a share.
    """
    with listeners.load(places, experiment, memory=memory, course_only=table_only) as loaded:
        arms = _arms(loaded, experiment, config)
        if table_only:
            listeners.course_listeners(loaded)
            return _table_report(loaded, experiment, config, arms, is_aa=is_aa)
        return _full_report(loaded, experiment, config, arms, is_aa=is_aa)


def _arms(loaded: Loaded, experiment: str, config: AbConfig) -> tuple[str, ...]:
    """The arms, the control first.

    Raises:
        AnalysisError: There are not two, or no control.
    """
    lines, names = loaded.lines.lines, ", ".join(loaded.names)
    if not lines.good:
        first = loaded.lines.rejected[0] if loaded.lines.rejected else None
        why = (
            f"the first line refused is {first.file}:{first.line}: {first.reason}"
            if first
            else "no line but blank ones"
        )
        raise AnalysisError(f"{names}: no event in {lines.read:,} lines; {why}")
    if not loaded.arms:
        known = f"events name {', '.join(loaded.experiments)}" if loaded.experiments else "no event names any"
        raise AnalysisError(f"experiment {experiment}: nobody is in it; {known}")
    if config.control not in loaded.arms:
        raise AnalysisError(
            f"control {config.control}: nobody is in it; the arms of {experiment} are {', '.join(loaded.arms)}"
        )
    if len(loaded.arms) < 2:
        raise AnalysisError(
            f"experiment {experiment}: {config.control} is its only arm, so there is nothing to compare"
        )
    return (config.control, *(arm for arm in loaded.arms if arm != config.control))


def _counts(connection: queries.Connection, arms: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Listeners and closed sessions by arm."""
    rows = {row["arm"]: row for row in queries.fetch_table(connection, "ab/arm_counts").to_pylist()}
    return tuple({arm: rows[arm][what] for arm in arms} for what in ("listeners", "sessions"))  # type: ignore[return-value]  # two


def _table_report(loaded: Loaded, experiment: str, config: AbConfig, arms: tuple[str, ...], *, is_aa: bool) -> Report:
    heard, sessions = _counts(loaded.connection, arms)
    srm = trust.sample_ratio(heard, config.shares)
    fault = distrust(srm, loaded.lines.lines, config)
    return Report(
        experiment=experiment,
        control=config.control,
        arms=arms,
        is_aa=is_aa,
        alpha=config.alpha,
        first_day=None,
        last_day=None,
        listeners=heard,
        sessions=sessions,
        lines=loaded.lines.lines,
        srm=srm,
        verdict=Verdict("do not trust", None, fault, ())
        if fault
        else Verdict("not yet", None, "the course's table alone decides nothing; make the whole report.", ()),
        course_table=course_table(loaded.connection, config.control, arms[1:]),
        effects=(),
        timelines=(),
        distributions=(),
        positions=(),
        trust=None,
        sources=loaded.names,
    )


def _full_report(loaded: Loaded, experiment: str, config: AbConfig, arms: tuple[str, ...], *, is_aa: bool) -> Report:
    connection, control, treated = loaded.connection, config.control, arms[1:]
    listeners.tabulate(
        loaded, skip_below=config.skip_below, recommenders=config.recommenders, positions=config.positions
    )
    heard, sessions = _counts(connection, arms)
    doubts, row = trust.assess(connection, config, arms, loaded.lines.rejected)
    evidence = Evidence(
        is_aa=is_aa,
        listeners=heard,
        lines=loaded.lines.lines,
        srm=trust.sample_ratio(heard, config.shares),
        trust=doubts,
        effects=metric_effects(connection, config, control, treated),
        timelines=timelines(connection, config, control, treated),
    )
    return Report(
        experiment=experiment,
        control=control,
        arms=arms,
        is_aa=is_aa,
        alpha=config.alpha,
        first_day=_date(row, "first_ms"),
        last_day=_date(row, "last_ms"),
        listeners=heard,
        sessions=sessions,
        lines=evidence.lines,
        srm=evidence.srm,
        verdict=judge(evidence, config),
        course_table=course_table(connection, control, treated),
        effects=tuple(evidence.effects),
        timelines=tuple(evidence.timelines),
        distributions=spread.distributions(connection, arms),
        positions=spread.positions(connection, arms),
        trust=doubts,
        sources=loaded.names,
    )


def _date(row: Mapping[str, int], key: str) -> str:
    return iso_date(row[key] // _DAY_MS)
