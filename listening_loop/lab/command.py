"""`listening-loop lab`: runs, reports and the live experiment on one set of pages."""

import os
from pathlib import Path
from typing import Annotated

import typer
from werkzeug.serving import make_server

from listening_loop.api.serving import ServiceClient
from listening_loop.errors import LabError
from listening_loop.lab.app import LabSettings, create_app
from looplib.cli import make_app

PROG = "python -m recsys.lab"
TOKEN = "BOTIFY_ADMIN_TOKEN"  # noqa: S105  the variable's name
app = make_app(
    "Show runs, reports and the live experiment in the browser, and publish a run's winner."
)


@app.command(
    epilog="Example: python -m recsys.lab --root out --published out/demo/published --port 8040"
)
def main(
    root: Annotated[
        Path, typer.Option(help="Folder below which runs and reports are looked for.")
    ] = Path("out"),
    published: Annotated[
        Path | None,
        typer.Option(
            help="Folder of versions that the service follows; without it nothing is published."
        ),
    ] = None,
    service: Annotated[
        str, typer.Option(help="Address of the service.")
    ] = "http://127.0.0.1:5001",
    log: Annotated[
        Path | None,
        typer.Option(
            help="The service's event log, for figures of the live experiment."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; there is no login.")
    ] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Further names it may be asked under; repeatable."),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = 8040,
) -> None:
    """Serve the pages until Ctrl-C."""
    if not root.is_dir():
        raise LabError(f"{root}: no such folder")
    token = os.environ.get(TOKEN)
    settings = LabSettings(
        root, published, ServiceClient(service, token), log, tuple(host_name or ())
    )
    try:
        server = make_server(host, port, create_app(settings), threaded=True)
    except (OSError, SystemExit):  # werkzeug exits where the address is taken
        raise LabError(
            f"{host}:{port}: cannot be listened on; choose another --port"
        ) from None
    typer.echo(f"http://{host}:{server.server_port}/  (Ctrl-C ends it)")
    if token is None:
        typer.echo(
            f"without {TOKEN} the service will refuse to reload and to roll back"
        )
    server.serve_forever()
