"""The command `python -m analysis.ab LOG… --experiment ALS [--set control=C] [--out DIR]`."""

import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect, OriginalRow
from analysis.ab.page.page import render
from analysis.ab.report import Report, build_report
from looplib.cli import make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_write, atomic_write_text
from looplib.progress import output

PROG = "python -m analysis.ab"
_ORIGINAL_COLUMNS = tuple(field.name for field in fields(OriginalRow))
_EFFECT_COLUMNS = ("arm", "metric", "control", "arm's", "effect %", "lower", "upper", "adjusted p", "MDE %", "")

app = make_app("Reports on an experiment: which arm won, by how much, how sure that is, and whether to trust it.")


@app.command(epilog="Example: python -m analysis.ab out/demo/service/log --experiment RECOMMENDERS --out out/demo/ab")
def main(
    logs: Annotated[list[str], typer.Argument(metavar="LOG…", help="Logs, folders, quoted patterns, session stores.")],
    experiment: Annotated[str, typer.Option(help="The experiment's name in the log.")],
    config: Annotated[Path | None, typer.Option(help="A YAML file such as configs/ab.yaml.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replaces a value.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json, report.html and config.yaml.")] = None,
    aa: Annotated[bool, typer.Option("--aa", help="All arms are the same: no effect is expected.")] = False,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Only the original course service's table and the sample ratio.")
    ] = False,
) -> None:
    """Reports on an experiment: which arm won, by how much, how sure that is, and whether to trust it."""
    settings = load_config(AbConfig, config, overrides or [])
    report = build_report(logs, experiment, settings, is_aa=aa, table_only=table_only)
    if out is not None:
        atomic_write_text(out / "config.yaml", dump_config(settings))
        atomic_write_text(out / "report.html", render(report))
        with atomic_write(out / "report.json") as file:
            file.write(report.to_json())
    print_report(report)


def print_report(report: Report) -> None:
    """Print the verdict, the original table and every metric's effect on stdout."""
    console = output()
    console.soft_wrap = True
    verdict = report.verdict
    title = f"{report.experiment}{' (A/A)' if report.is_aa else ''}: {verdict.decision}"
    console.print(Text(f"{title}{f' {verdict.arm}' if verdict.arm else ''}", style="bold"))
    console.print(Text(f"{verdict.reason[:1].upper()}{verdict.reason[1:]}"))
    for note in verdict.notes:
        console.print(Text(f"  - {note}"))
    console.print(Text(_counts(report)))
    console.print(_table(_ORIGINAL_COLUMNS, map(_original_cells, report.original_table)))
    if report.effects:
        console.print(_table(_EFFECT_COLUMNS, map(_effect_cells, report.effects)))


def _counts(report: Report) -> str:
    arms = ", ".join(
        f"{arm} {report.listeners[arm]:,} listeners and {report.sessions[arm]:,} sessions" for arm in report.arms
    )
    lines = report.lines
    read = f"{lines.read:,} lines = {lines.good:,} good + {lines.rejected:,} rejected + {lines.blank:,} blank"
    ratio = "" if report.srm.p_value is None else f"; sample ratio p = {report.srm.p_value:.3g}"
    days = f"; {report.first_day} to {report.last_day}" if report.first_day else ""
    return f"{arms}{ratio}{days}\n{read}"


def _original_cells(row: OriginalRow) -> list[str]:
    signed = [_format(value, "+.3f") for value in (row.effect_pct, row.lower_pct, row.upper_pct)]
    means = [_format(value, ".5g") for value in (row.control_mean, row.arm_mean)]
    return [row.arm, row.metric, *signed, *means, str(row.significant)]


def _effect_cells(effect: MetricEffect) -> list[str]:
    relative = effect.relative
    signed = [_format(value, "+.3f") for value in (relative.effect_pct, relative.lower_pct, relative.upper_pct)]
    values = [_format(value, ".5g") for value in (effect.control_value, effect.arm_value)]
    checks = [_format(effect.adjusted_p_value, ".3g", ""), _format(effect.mde_pct, ".2f", "")]
    remark = ", ".join(filter(None, (effect.role, effect.guardrail, "significant" if effect.significant else None)))
    return [effect.arm, effect.metric, *values, *signed, *checks, remark]


def _table(columns: Iterable[str], rows: Iterable[list[str]]) -> Table:
    """Lay out cells: names to the left, the last column too, numbers to the right."""
    table = Table(box=None, pad_edge=False)
    *numbers, last = columns
    for position, column in enumerate(numbers):
        table.add_column(column, justify="left" if position < 2 else "right", no_wrap=True)
    table.add_column(last, no_wrap=True)
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _format(value: float | None, spec: str, missing: str = "-") -> str:
    return missing if value is None else format(value, spec)


if __name__ == "__main__":
    sys.exit(run(app, PROG))
