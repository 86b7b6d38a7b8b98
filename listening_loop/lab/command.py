"""`listening-loop lab`: runs, reports and the live experiment on one set of pages."""

from pathlib import Path
from typing import Annotated

import typer
from werkzeug.serving import make_server

from listening_loop.client import ServiceClient
from listening_loop.errors import LoopError
from listening_loop.lab.app import create_app
from looplib.cli import make_app

PROG = "listening-loop lab"
HOST = "127.0.0.1"  # there is no login
app = make_app("Show runs, reports and the live experiment in the browser.")


@app.command(
    epilog="Example: listening-loop lab --root out --log out/demo/service/log --port 8040"
)
def main(
    root: Annotated[
        Path, typer.Option(help="Folder below which runs and reports are looked for.")
    ] = Path("out"),
    service: Annotated[
        str, typer.Option(help="Address of the service.")
    ] = "http://127.0.0.1:5001",
    log: Annotated[
        Path | None,
        typer.Option(
            help="The service's event log, for figures of the live experiment."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = 8040,
) -> None:
    """Serve the pages until Ctrl-C."""
    if not root.is_dir():
        raise LoopError(f"{root}: no such folder")
    lab = create_app(root, ServiceClient(service), log)
    try:
        server = make_server(HOST, port, lab, threaded=True)
    except (OSError, SystemExit):  # werkzeug exits where the address is taken
        problem = f"{HOST}:{port}: cannot be listened on"
        raise LoopError(f"{problem}; choose another --port") from None
    typer.echo(f"http://{HOST}:{server.server_port}/  (Ctrl-C ends it)")
    server.serve_forever()
