"""An A/B report from event logs: `python -m analysis.ab LOG… --experiment ALS [--control C] [--out DIR]`."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.ab.build import build_report
from analysis.ab.config import AbConfig
from analysis.ab.page.page import load_charts, render
from analysis.ab.tables import MEMORY
from analysis.ab.terminal import print_report
from analysis.errors import AnalysisError
from looplib.cli import make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_write, atomic_write_text

PROG = "python -m analysis.ab"
_SIZE = re.compile(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)")

app = make_app("Reports on an experiment: which arm won, by how much, how sure that is, and whether to trust it.")


@app.command(epilog="Example: python -m analysis.ab out/demo/service/log --experiment RECOMMENDERS --out out/demo/ab")
def main(
    logs: Annotated[list[str], typer.Argument(metavar="LOG…", help="Logs, folders, quoted patterns, session stores.")],
    experiment: Annotated[str, typer.Option(help="The experiment's name in the log.")],
    control: Annotated[
        str | None, typer.Option(help="The arm that the others are compared with; C by default.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file such as configs/ab.yaml.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replaces a value.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json, report.html and config.yaml.")] = None,
    aa: Annotated[bool, typer.Option("--aa", help="All arms are the same: no effect is expected.")] = False,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="The course's table and the sample ratio alone.")
    ] = False,
    memory: Annotated[str, typer.Option(help="What DuckDB may use before it spills to the disk.")] = MEMORY,
) -> None:
    """Reports on an experiment: which arm won, by how much, how sure that is, and whether to trust it."""
    if not _SIZE.fullmatch(memory):
        raise AnalysisError(f"memory {memory!r}: a size such as 500MB or 1GB is expected")
    chosen = [*(overrides or []), *([] if control is None else [f"control={control}"])]
    settings = load_config(AbConfig, config, chosen)
    if out is not None:
        load_charts()
    report = build_report(logs, experiment, settings, is_aa=aa, table_only=table_only, memory=memory)
    if out is not None:
        atomic_write_text(out / "config.yaml", dump_config(settings))
        atomic_write_text(out / "report.html", render(report))
        with atomic_write(out / "report.json") as file:
            file.write(report.to_json())
    print_report(report)


if __name__ == "__main__":
    sys.exit(run(app, PROG))
