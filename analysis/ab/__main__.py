"""The command `listening-loop ab LOG… [--experiment ALS] [--set control=C] [--out DIR]`.

A table instead of logs: `listening-loop ab listeners.parquet --experiment experiment.yaml`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from looplib.cli import Overrides, importing, make_app, run
from looplib.config import dump_config, load_config
from looplib.errors import ConfigError
from looplib.files import atomic_write_json, atomic_write_text
from looplib.tables import output, table

with importing():
    from analysis.ab import words
    from analysis.ab.config import AbConfig, Dialect, plan_document, table_document
    from analysis.ab.effects import MetricEffect
    from analysis.ab.page import render
    from analysis.ab.report import Report, build_report, report_on_table
    from analysis.ab.table import TABLES, open_table
    from analysis.page import numbers
    from analysis.page.index import renew_index
    from looplib.experiments import load_experiment

PROG = "listening-loop ab"
_ARM_COLUMNS = ("arm", "recommender", "listeners", "sessions")
_EFFECT_COLUMNS = (
    "arm",
    "metric",
    "effect",
    "interval",
    "result",
    "control",
    "arm's",
)

app = make_app(
    "Report on an experiment: which arm won, by how much, how sure that is, "
    "and whether to trust it."
)


@app.command(epilog="Example: listening-loop ab out/demo/service/log --out out/demo/ab")
def main(
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LOG…",
            help="Event logs, folders, quoted patterns, or session stores; or a table.",
        ),
    ] = None,
    experiment: Annotated[
        str,
        typer.Option(
            help="The experiment's YAML file; or its name, if the log has several."
        ),
    ] = "",
    config: Annotated[
        Path | None, typer.Option(help="A YAML file such as configs/ab.yaml.")
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(help="A query in place of logs, which DuckDB runs."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="What decides; of a table its column. Repeatable."),
    ] = None,
    arm: Annotated[str, typer.Option(help="Of a table: the column of arms.")] = "arm",
    listener: Annotated[
        str | None,
        typer.Option(help="Of a table with several rows a listener: their column."),
    ] = None,
    print_sql: Annotated[
        bool,
        typer.Option(
            help="Print the statement with which a warehouse sums up --sql for a report."
        ),
    ] = False,
    dialect: Annotated[
        Dialect, typer.Option(help="Of that warehouse, and of --sql.")
    ] = "duckdb",
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json, report.html and config.yaml."),
    ] = None,
) -> None:
    """Make the report."""
    if not (sql or (logs and not print_sql)):
        problem = "name logs, a store or a table; or --sql, as for --print-sql"
        raise ConfigError(problem)
    logs = logs or []
    tables = (
        [sql] if sql else [Path(log) for log in logs if log.lower().endswith(TABLES)]
    )
    if tables and len(logs) + bool(sql) > 1:
        raise ConfigError(
            f"{len(logs)} paths, one of them a table, or --sql beside them: name one table, or "
            "--sql alone, or logs alone"
        )
    plan = load_experiment(experiment)
    name = plan.name if plan else experiment
    document = plan_document(plan)
    if metric:
        document["primary"] = metric
    if tables:
        document = table_document(document)
    settings = load_config(AbConfig, config, overrides or [], above=document)
    if print_sql:
        from analysis.ab.warehouse import moments_statement  # parses SQL

        typer.echo(moments_statement(str(sql), settings, dialect, arm, listener))
        return
    if tables:
        with open_table(tables[0], arm=arm, listener=listener) as opened:
            report = report_on_table(opened, settings, name, plan)
    else:
        report = build_report(logs, name, settings, plan)
    if out is not None:
        write_report(report, out)
        renew_index(out)
    print_report(report)


def write_report(report: Report, out: Path) -> None:
    """Write a report and its configuration to a folder."""
    atomic_write_text(out / "config.yaml", dump_config(report.config))
    atomic_write_text(out / "report.html", render(report))
    sentences = {
        "headline": words.headline(report),
        "reason": words.reason(report),
        "warnings": words.warnings(report),
    }
    atomic_write_json(out / "report.json", {**report.to_json(), "words": sentences})


def print_report(report: Report) -> None:
    """Print the report in about 25 lines, the verdict last."""
    console = output()
    console.soft_wrap = True
    evidence = report.evidence
    arms = [
        [
            arm,
            evidence.recommenders[arm] or "",
            f"{listeners:,}",
            f"{evidence.sessions[arm]:,}",
        ]
        for arm, listeners in evidence.listeners.items()
    ]
    deciding = [
        _effect_cells(effect)
        for effect in evidence.effects
        if effect.role != "secondary"
    ]
    for columns, rows in ((_ARM_COLUMNS, arms), (_EFFECT_COLUMNS, deciding)):
        if rows:
            console.print(table(columns, rows, needed=5, numbers_from=2))
    for text in (
        *map(words.preference, evidence.preferences),
        *_facts(report),
        *(f"  - {warning}" for warning in words.warnings(report)),
    ):
        console.print(Text(text))
    title = f"{report.experiment}: {words.headline(report)}"
    console.print(Text(title, style="bold"))
    console.print(Text(words.reason(report)))


def _facts(report: Report) -> Iterator[str]:
    """Yield limits, dates, the sample ratio and the counts of lines."""
    evidence, lines = report.evidence, report.evidence.lines
    margins = {
        f"{effect.metric} {words.limit(effect)}"
        for effect in evidence.effects
        if effect.role == "guardrail"
    }
    if margins:
        yield f"guardrails: {'; '.join(sorted(margins))}"
    days = " to ".join(evidence.dates)
    yield f"{days}, intervals: valid {words.validity(report)}".removeprefix(", ")
    yield (
        f"sample ratio {numbers.p_is(evidence.srm.p_value)}; {lines.read:,} lines = "
        f"{lines.good:,} good + {lines.rejected:,} rejected"
    )


def _effect_cells(effect: MetricEffect) -> list[str]:
    """Format an effect by the interval that decides, and its p-value or a guardrail's state."""
    relative = effect.relative
    result = effect.guardrail or numbers.p_is(effect.adjusted_p_value)
    if result in {"unclear", "broken"}:
        result = result.upper()
    return [
        effect.arm,
        effect.metric,
        numbers.change(relative.value),
        numbers.interval(relative.lower, relative.upper),
        result,
        numbers.number(effect.control_value),
        numbers.number(effect.arm_value),
    ]


if __name__ == "__main__":
    sys.exit(run(app, PROG))
