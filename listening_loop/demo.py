"""`listening-loop demo`: the whole loop on a small simulated world, as it is shipped."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from listening_loop.config import LoopConfig
from listening_loop.loop import run_loop
from listening_loop.processes import free_port, serve, serving, show
from looplib.cli import make_app
from looplib.config import load_config

PROG = "listening-loop demo"
app = make_app(
    "Run the whole loop on a small simulated world; an interrupted one continues where it was."
)


@app.command(epilog=f"Example: {PROG} --days 3")
def main(
    days: Annotated[
        int, typer.Option(min=1, help="How many days of learning from all logs so far.")
    ] = 1,
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path(
        "out/demo"
    ),
    servers: Annotated[
        bool,
        typer.Option("--serve", help="Then keep service and lab running until Ctrl-C."),
    ] = False,
) -> None:
    """Run the demo."""
    configs = configs_folder()
    shipped = load_config(LoopConfig, configs / "loop" / "demo.yaml")
    parts = {
        part: configs.parent / getattr(shipped, part)
        for part in ("world", "collect", "search", "service", "report")
    }
    settings = shipped.model_copy(update={**parts, "folder": folder, "days": days})
    run_loop(settings)
    if servers:
        serve_loop(settings)
    else:
        command = f"{PROG} --folder {folder} --serve"
        typer.echo(f"Next: {command} leaves the service and the lab running")


def configs_folder() -> Path:
    """Return the folder `configs`: within an installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "configs"
    return installed if installed.exists() else here.parent / "configs"


def serve_loop(settings: LoopConfig) -> None:
    """Run the service and the lab until Ctrl-C; the lab may publish and roll back."""
    os.environ.setdefault("BOTIFY_ADMIN_TOKEN", secrets.token_hex())
    port, lab_port = free_port(5001), free_port(8040)
    service = serve(settings.service, settings.folder, port=port)
    lab = show(settings.folder, port, lab_port)
    try:
        with serving(service, port) as process, serving(lab, lab_port, "/"):
            typer.echo(f"service     http://127.0.0.1:{port}/docs")
            typer.echo(f"lab         http://127.0.0.1:{lab_port}/")
            typer.echo("Ctrl-C ends both")
            process.wait()
    except KeyboardInterrupt:
        typer.echo("both have ended")
