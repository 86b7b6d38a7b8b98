"""What a report says in the terminal: the verdict, the course's table, and every other metric."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from analysis.ab.report import CourseRow, MetricEffect, Report
from looplib.progress import output


def print_report(report: Report) -> None:
    """Prints it on stdout."""
    console = output()
    console.soft_wrap = True
    verdict = report.verdict
    title = f"{report.experiment}{' (A/A)' if report.is_aa else ''}: {verdict.decision}"
    console.print(Text(f"{title}{f' {verdict.arm}' if verdict.arm else ''}", style="bold"))
    console.print(Text(f"{verdict.reason[:1].upper()}{verdict.reason[1:]}"))
    for note in verdict.notes:
        console.print(Text(f"  - {note}"))
    console.print(Text(_counts(report)))
    console.print(_course_table(report.course_table))
    if report.effects:
        console.print(_effects_table(report.effects))


def _counts(report: Report) -> str:
    arms = ", ".join(
        f"{arm} {report.listeners[arm]:,} listeners and {report.sessions[arm]:,} sessions" for arm in report.arms
    )
    lines = report.lines
    read = f"{lines.read:,} lines = {lines.good:,} good + {lines.rejected:,} rejected + {lines.blank:,} blank"
    ratio = "" if report.srm.p_value is None else f"; sample ratio p = {report.srm.p_value:.3g}"
    days = f"; {report.first_day} to {report.last_day}" if report.first_day else ""
    return f"{arms}{ratio}{days}\n{read}"


def _course_table(rows: Sequence[CourseRow]) -> Table:
    table = _table("arm", "metric", "effect_pct", "lower_pct", "upper_pct", "control_mean", "arm_mean", "significant")
    for row in rows:
        numbers = (row.effect_pct, row.lower_pct, row.upper_pct)
        means = (row.control_mean, row.arm_mean)
        table.add_row(
            Text(row.arm),
            row.metric,
            *(_signed(one) for one in numbers),
            *(_plain(one) for one in means),
            str(row.significant),
        )
    return table


def _effects_table(effects: Sequence[MetricEffect]) -> Table:
    table = _table(
        "arm", "metric", "control", "arm's", "effect %", "lower", "upper", "adjusted p", "MDE %", "", names=2
    )
    for one in effects:
        relative = (one.relative.effect_pct, one.relative.lower_pct, one.relative.upper_pct)
        table.add_row(
            Text(one.arm),
            one.metric,
            _plain(one.control_value),
            _plain(one.arm_value),
            *(_signed(number) for number in relative),
            "" if one.adjusted_p_value is None else f"{one.adjusted_p_value:.3g}",
            "" if one.mde_pct is None else f"{one.mde_pct:.2f}",
            _remark(one),
        )
    return table


def _remark(one: MetricEffect) -> str:
    words: list[str] = [one.role]
    if one.guardrail:
        words.append(one.guardrail)
    if one.significant:
        words.append("significant")
    return ", ".join(words)


def _table(*columns: str, names: int = 2) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        is_number = names <= place < len(columns) - 1
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    return table


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
