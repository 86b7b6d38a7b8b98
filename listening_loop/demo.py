"""`listening-loop demo`: run the whole loop on a simulated world by the shipped configuration."""

from pathlib import Path
from typing import Annotated

import typer

from listening_loop.config import LoopConfig
from listening_loop.loop import run_loop
from looplib.cli import make_app
from looplib.config import load_config

PROG = "listening-loop demo"
app = make_app(
    "Run the whole loop on a simulated world; an interrupted one continues where it was."
)


@app.command(epilog=f"Example: {PROG} --days 3")
def main(
    days: Annotated[
        int, typer.Option(min=1, help="How many days of learning from all logs so far.")
    ] = 1,
    full: Annotated[
        bool, typer.Option("--full", help="Five arms in a larger world: minutes.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where everything goes; out/first, or out/demo with --full."),
    ] = None,
) -> None:
    """Run the demo."""
    installed = Path(__file__).parent / "configs"
    configs = installed if installed.exists() else installed.parents[1] / "configs"
    name = "loop/demo.yaml" if full else "first/loop.yaml"
    shipped = load_config(LoopConfig, configs / name)
    parts = {
        part: configs.parent / getattr(shipped, part)
        for part in ("world", "collect", "search", "service", "report")
    }
    changes = {**parts, "folder": folder or shipped.folder, "days": days}
    run_loop(shipped.model_copy(update=changes))
