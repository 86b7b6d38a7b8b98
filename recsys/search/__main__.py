"""`listening-loop search`: fit a grid of models on a Dask cluster and publish the best."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from looplib.cli import Overrides, importing, make_app, program, run
from looplib.config import load_config
from looplib.tables import output

with importing():
    import pyarrow.parquet as pq

    from analysis.page.index import renew_index
    from recsys.config import SearchConfig
    from recsys.export.export import export_run
    from recsys.export.version import MANIFEST, RECOMMENDATIONS
    from recsys.models.registry import searched_models
    from recsys.report.page import write_report
    from recsys.run import LEADERBOARD, LEDGER, REPORT, check_digest, read_run
    from recsys.search.leaderboard import print_rows
    from recsys.search.search import search
    from recsys.storage import open_workspace
    from recsys.store.reader import open_store

PROG = "listening-loop search"
_FILES = {"leaderboard": LEADERBOARD, "ledger": LEDGER, "report": REPORT}
app = make_app(
    "Fit models on a Dask cluster, score them on held-out sessions, and publish the best."
)


@app.command(
    epilog="Example: listening-loop search --config configs/demo.yaml "
    "--set models.als.factors=[32,64]; "
    f"models are {', '.join(searched_models())}, their settings in docs/settings.md."
)
def main(
    config: Annotated[
        Path, typer.Option(help="The search's YAML, such as configs/demo.yaml.")
    ],
    set_: Overrides = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Session store; wins over the file's."),
    ] = None,
    run_folder: Annotated[
        str | None,
        typer.Option("--run", metavar="PATH", help="Run folder; wins over the file's."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="An existing Dask scheduler, such as tcp://host:8786."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where to publish; RUN/export by default."),
    ] = None,
    performance_report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write Dask's report of workers and calls as HTML."
        ),
    ] = None,
    export: Annotated[
        bool, typer.Option(help="Refit the winner on all sessions and publish it.")
    ] = True,
) -> None:
    """Search, then export."""
    flags: dict[str, Any] = {
        "store": store,
        "run": run_folder,
        "cluster.scheduler": scheduler,
    }
    settings = load_config(SearchConfig, config, set_ or [], flags)
    folder = open_workspace(settings.run)
    store_read = open_store(settings.store)
    winner = search(store_read, folder, settings, report=performance_report)
    board = pq.read_table(check_digest(folder, winner, LEADERBOARD))
    output().print(print_rows(board.to_pylist(), winner.select))
    write_report(settings.run)
    if not folder.is_remote:
        renew_index(Path(settings.run))
    for name, file in _FILES.items():
        typer.echo(f"{name:<16} {settings.run}/{file}")
    if export:
        published = out or f"{settings.run}/export"
        version = export_run(folder, *read_run(folder), published)
        typer.echo(f"recommendations  {version}/{RECOMMENDATIONS}")
        typer.echo(f"manifest         {version}/{MANIFEST}")
        service = config.with_name(f"{config.stem}-service.yaml")  # written by `init`
        is_its_own = service.exists() and not (out or run_folder)
        served = (
            ("--config", str(service)) if is_its_own else ("--published", published)
        )
        serve = shlex.join([program(), "serve", *served])
        typer.echo(f"Next: open the report; serve the lists: {serve}")


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
