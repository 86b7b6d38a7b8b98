"""The command `listening-loop ab LOG… [--experiment ALS] [--set control=C] [--out DIR]`.

A table instead of logs: `listening-loop ab listeners.parquet --experiment experiment.yaml`.
"""

import sys
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
    from analysis.views import LISTENER_VALUES
    from looplib.experiments import load_experiment

PROG = "listening-loop ab"
_ARM_COLUMNS = ("arm", "recommender", "listeners", "sessions")
_EFFECT_COLUMNS = ("arm", "metric", "result", "effect")

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
    by: Annotated[
        str,
        typer.Option(
            help="Show effects by this column: of a table, or of --listeners."
        ),
    ] = "",
    listeners: Annotated[
        Path | None,
        typer.Option(
            help="For --by and logs: a table, or a query in a .sql file, with a column listener."
        ),
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
    paths = [*(logs or ()), *([sql] if sql else ())]
    is_table = sql is not None or any(path.lower().endswith(TABLES) for path in paths)
    if not paths or (is_table and len(paths) > 1) or (print_sql and not sql):
        problem = "name logs or stores, or a single table, or --sql alone; --print-sql needs --sql"
        raise ConfigError(problem)
    if (listeners is not None) != (bool(by) and not is_table):
        raise ConfigError(
            "--by of logs and --listeners FILE need each other; give both or neither"
        )
    plan = load_experiment(experiment)
    name = plan.name if plan else experiment
    document = plan_document(plan)
    if metric:
        document["primary"] = metric
    if is_table:
        document = table_document(document)
    settings = load_config(AbConfig, config, overrides or [], above=document)
    if print_sql:
        from analysis.ab.warehouse import moments_statement  # parses SQL

        metrics = settings.reported
        typer.echo(moments_statement(metrics, arm, listener, paths[0], dialect))
        return
    if is_table:
        source = sql or Path(*paths)
        with open_table(source, arm=arm, listener=listener, by=by) as opened:
            report = report_on_table(opened, settings, name, plan)
    else:
        report = build_report(
            paths,
            name,
            settings,
            plan,
            groups=(listeners, by) if listeners else None,
            values_file=out and out / LISTENER_VALUES,
        )
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
    evidence, lines = report.evidence, report.evidence.lines
    arms = [
        [
            arm,
            evidence.recommenders.get(arm, ""),
            numbers.count(size),
            numbers.count(evidence.sessions[arm]),
        ]
        for arm, size in evidence.listeners.items()
    ]
    console.print(table(_ARM_COLUMNS, arms, needed=4, numbers_from=2))
    deciding = [
        [effect.arm, effect.metric, _result(effect), words.change_with_range(effect)]
        for effect in evidence.effects
        if effect.role != "secondary"
    ]
    if deciding:
        console.print(table(_EFFECT_COLUMNS, deciding, needed=4, numbers_from=3))
    segments = [
        [
            effect.segment,
            effect.arm,
            effect.metric,
            numbers.p_is(effect.adjusted_p_value),
            words.change_with_range(effect),
        ]
        for effect in evidence.segments
        if effect.role == "primary"
    ]
    if segments:
        columns = ("segment", *_EFFECT_COLUMNS)
        console.print(table(columns, segments, needed=5, numbers_from=4))
    texts = [
        *filter(None, [words.segments(report)]),
        *map(words.preference, evidence.preferences),
        f"{' to '.join(evidence.dates)}, intervals valid {words.validity(report)}".lstrip(
            ", "
        ),
        f"sample ratio {numbers.p_is(evidence.srm.p_value)}",
        *(f"  - {warning}" for warning in words.warnings(report)),
    ]
    if lines.read:
        counts = f"{lines.good:,} good + {lines.rejected:,} rejected"
        texts.insert(0, f"{lines.read:,} lines = {counts}")
    for text in texts:
        console.print(Text(text))
    title = f"{report.experiment}: {words.headline(report)}"
    console.print(Text(title, style="bold"))
    console.print(Text(words.reason(report)))


def _result(effect: MetricEffect) -> str:
    """Format the p-value of an effect, or the state of a guardrail."""
    state = effect.guardrail
    if state is None:
        return numbers.p_is(effect.adjusted_p_value)
    return state if state == "kept" else state.upper()


if __name__ == "__main__":
    sys.exit(run(app, PROG))
