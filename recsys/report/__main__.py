"""`python -m recsys.report`: writes the page of a finished search again, such as with titles."""

from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import make_app, run
from recsys.report.page import write_report

PROG = "python -m recsys.report"
app = make_app("Writes report.html of a finished search: what was tried, what came of it, and how sure that is.")


@app.command(epilog="Example: python -m recsys.report --run out/demo/run --catalogue out/demo/world/tracks.json")
def main(
    run_folder: Annotated[str, typer.Option("--run", metavar="PATH", help="Run folder of a finished search.")],
    catalogue: Annotated[
        Path | None, typer.Option(help="tracks.json of the catalogue, for titles; wins over the run's.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Session store, where it is no longer where the search read it."),
    ] = None,
) -> None:
    """Write the page."""
    typer.echo(f"{write_report(run_folder, catalogue=catalogue, store=store)}")


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
