"""`python -m recsys.export`: publish a run's winner."""

from typing import Annotated

import typer

from looplib.cli import importing, make_app, run
from looplib.config import parse_config

with importing():
    from recsys.config import ExportConfig
    from recsys.export.export import MANIFEST, RECOMMENDATIONS, export_run
    from recsys.runs.folder import read_run
    from recsys.workspace import open_workspace

PROG = "python -m recsys.export"
app = make_app("Refit a run's winner on all sessions, and publish its recommendations.")


@app.command(
    epilog="Example: python -m recsys.export --run out/demo/run --out out/demo/run/export"
)
def main(
    run_folder: Annotated[
        str,
        typer.Option("--run", metavar="PATH", help="Run folder of a finished search."),
    ],
    out: Annotated[
        str, typer.Option(metavar="PATH", help="Folder of published versions.")
    ],
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Session store, where it is no longer where the search read it.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Recommendations for each listener.")
    ] = None,
    filter_seen: Annotated[
        bool | None, typer.Option(help="Leave out what the listener has heard.")
    ] = None,
    learn_from: Annotated[
        str | None,
        typer.Option(
            help="all sessions, or training: without the held-out ones, to value the lists."
        ),
    ] = None,
    publish_anyway: Annotated[
        bool | None,
        typer.Option(help="Publish a model that is no better than the popular tracks."),
    ] = None,
) -> None:
    """Publish a run's winner."""
    config, _ = read_run(open_workspace(run_folder))
    changes = {
        "top": top,
        "filter_seen": filter_seen,
        "learn_from": learn_from,
        "publish_anyway": publish_anyway,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    options = parse_config(
        ExportConfig, config.export.model_dump() | given, "the options"
    )
    version = export_run(run_folder, out, options, store)
    typer.echo(
        f"recommendations  {version}/{RECOMMENDATIONS}\nmanifest         {version}/{MANIFEST}"
    )


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
