"""The command `python -m analysis.ab LOG… --experiment ALS [--set control=C] [--out DIR]`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from looplib.cli import Overrides, importing, make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_write, atomic_write_text
from looplib.progress import output

with importing():
    from analysis.ab.config import AbConfig
    from analysis.ab.effects import MetricEffect
    from analysis.ab.page.page import render
    from analysis.ab.report import OriginalRow, Report, build_report
    from analysis.page import numbers

PROG = "python -m analysis.ab"
GONE = {
    "--all": "report.html has every metric: --out DIR",
    "--dry-run": "a metric's file is checked before any log is read",
}
_ORIGINAL_COLUMNS = tuple(field.name for field in fields(OriginalRow))
_ARM_COLUMNS = (
    "arm",
    "recommender",
    "listeners",
    "sessions",
    "value",
    "effect",
    "interval",
    "adjusted p",
    "metric",
)
_MOST_ROWS = 8
_MOST_NOTES = 4

app = make_app(
    "Report on an experiment: which arm won, by how much, how sure that is, and whether to trust it."
)


@app.command(
    epilog="Example: python -m analysis.ab out/demo/service/log --experiment RECOMMENDERS --out out/demo/ab"
)
def main(
    logs: Annotated[
        list[str],
        typer.Argument(
            metavar="LOG…", help="Logs, folders, quoted patterns, session stores."
        ),
    ],
    experiment: Annotated[str, typer.Option(help="The experiment's name in the log.")],
    config: Annotated[
        Path | None, typer.Option(help="A YAML file such as configs/ab.yaml.")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json, report.html and config.yaml."),
    ] = None,
    warehouse: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.duckdb",
            help="Leave events, sessions, listeners and effects here.",
        ),
    ] = None,
) -> None:
    """Make the report."""
    settings = load_config(AbConfig, config, overrides or [])
    report = build_report(logs, experiment, settings, database=warehouse)
    if out is not None:
        atomic_write_text(out / "config.yaml", dump_config(settings))
        atomic_write_text(out / "report.html", render(report))
        with atomic_write(out / "report.json") as file:
            file.write(report.to_json())
    print_report(report)


def print_report(report: Report) -> None:
    """Print what a decision needs in at most 25 lines, the verdict last."""
    console = output()
    console.soft_wrap = True
    if not report.effects:
        console.print(
            _table(_ORIGINAL_COLUMNS, map(_original_cells, report.original_table))
        )
    console.print(_table(_ARM_COLUMNS, _shortened(_arm_rows(report))))
    guardrails = dict.fromkeys(
        effect.metric for effect in report.effects if effect.role == "guardrail"
    )
    if guardrails:
        rows = [_state_cells(metric, report) for metric in guardrails]
        console.print(
            _table(("guardrail", "allowed", *report.arms[1:]), _shortened(rows))
        )
    verdict, notes = report.verdict, [f"  - {note}" for note in report.verdict.notes]
    if len(notes) > _MOST_NOTES:
        more = len(notes) - _MOST_NOTES
        notes[_MOST_NOTES:] = [f"  - and {more} more in report.html: --out DIR"]
    for line in (*map(str, report.preferences), _counts(report), *notes):
        console.print(Text(line))
    title = f"{report.experiment}{' (A/A)' if report.is_aa else ''}: {verdict.decision}"
    console.print(
        Text(f"{title}{f' {verdict.arm}' if verdict.arm else ''}", style="bold")
    )
    console.print(Text(verdict.reason))


def _arm_rows(report: Report) -> Iterator[list[str]]:
    """Yield the primary metrics of each arm, or only its size where there are none."""
    primary = [effect for effect in report.effects if effect.role == "primary"]
    for arm in report.arms:
        size = [
            arm,
            report.recommenders[arm] or "",
            f"{report.listeners[arm]:,}",
            f"{report.sessions[arm]:,}",
        ]
        if arm == report.control:
            cells = {
                effect.metric: [_format(effect.control_value, ".4g"), "", "", ""]
                for effect in primary
            }
        else:
            cells = {
                effect.metric: _decided_cells(effect)
                for effect in primary
                if effect.arm == arm
            }
        for metric, found in (cells if primary else {"": [""] * 4}).items():
            yield [*size, *found, metric]


def _decided_cells(effect: MetricEffect) -> list[str]:
    found = effect.deciding.relative
    change, interval = (
        numbers.change(found.effect_pct),
        numbers.interval(found.lower_pct, found.upper_pct),
    )
    return [
        _format(effect.arm_value, ".4g"),
        change,
        interval,
        _format(effect.adjusted_p_value, ".2g"),
    ]


def _state_cells(metric: str, report: Report) -> list[str]:
    """Return a guardrail, what it allows, and its state in each arm, loud unless it is kept."""
    found = {effect.arm: effect for effect in report.effects if effect.metric == metric}
    first = next(iter(found.values()))
    margin = (
        f"{first.margin:g}" if first.margin_pct is None else f"{first.margin_pct:g} %"
    )
    states = dict.fromkeys(report.arms[1:], "UNCLEAR")
    for arm, effect in found.items():
        state = (
            "kept"
            if effect.guardrail == "kept"
            else (effect.guardrail or "unclear").upper()
        )
        states[arm] = (
            f"{state} {_format(effect.control_value, '.3g')} → {_format(effect.arm_value, '.3g')}"
        )
    return [
        metric,
        f"{numbers.MINUS if first.higher_is_better else '+'}{margin}",
        *states.values(),
    ]


def _shortened(rows: Iterable[list[str]]) -> list[list[str]]:
    kept = list(rows)
    return (
        kept
        if len(kept) <= _MOST_ROWS
        else [*kept[: _MOST_ROWS - 1], ["…", *[""] * (len(kept[0]) - 1)]]
    )


def _counts(report: Report) -> str:
    lines = report.lines
    read = f"{lines.read:,} lines = {lines.good:,} good + {lines.rejected:,} rejected + {lines.blank:,} blank"
    ratio = (
        ""
        if report.srm.p_value is None
        else f"sample ratio p = {report.srm.p_value:.3g}; "
    )
    kind = "one look at the horizon" if report.at_horizon else "valid at any time"
    days = (
        f"{report.first_day} to {report.last_day}, intervals: {kind}\n"
        if report.first_day
        else ""
    )
    return f"{days}{ratio}{read}"


def _original_cells(row: OriginalRow) -> list[str]:
    signed = [
        _format(value, "+.3f")
        for value in (row.effect_pct, row.lower_pct, row.upper_pct)
    ]
    means = [_format(value, ".5g") for value in (row.control_mean, row.arm_mean)]
    return [row.arm, row.metric, *signed, *means, str(row.significant)]


def _table(columns: Sequence[str], rows: Iterable[list[str]]) -> Table:
    """Lay out cells: names to the left, the last column too, numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for position, column in enumerate(columns):
        is_text = position in {0, 1, len(columns) - 1}
        table.add_column(column, justify="left" if is_text else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _format(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


if __name__ == "__main__":
    sys.exit(run(app, PROG, gone=GONE))
