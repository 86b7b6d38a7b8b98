"""`listening-loop export`: publish a run's winner."""

from typing import Annotated

import typer

from looplib.cli import Overrides, importing, make_app, run

with importing():
    from recsys.errors import SearchError
    from recsys.export.export import export_run
    from recsys.export.version import MANIFEST, RECOMMENDATIONS
    from recsys.run import read_run
    from recsys.storage import open_workspace

PROG = "listening-loop export"
app = make_app("Refit a run's winner on all sessions, and publish its recommendations.")


@app.command(
    epilog="Example: listening-loop export --run out/demo/run --out out/demo/run/export "
    "--set export.top=20"
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
    set_: Overrides = None,
) -> None:
    """Publish a run's winner."""
    for override in set_ or ():
        if not override.startswith(("export.", "cluster.")):
            raise SearchError(
                f"--set {override}: an export takes only export.… and cluster.…; the search fixed "
                "all other settings"
            )
    run = open_workspace(run_folder)
    version = export_run(run, *read_run(run, set_ or ()), out, store)
    typer.echo(
        f"recommendations  {version}/{RECOMMENDATIONS}\nmanifest         {version}/{MANIFEST}"
    )


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
