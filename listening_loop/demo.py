"""`listening-loop demo`: the whole loop on a small simulated world, with the configurations that are shipped."""

from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import make_app
from looplib.config import load_config
from recsys.loop.__main__ import main as run_loop
from recsys.loop.config import LoopConfig

PROG = "listening-loop demo"
app = make_app("Runs the whole loop on a small simulated world: listen, learn, publish, serve, experiment, report.")


@app.command(epilog=f"Example: {PROG} --days 3")
def main(
    days: Annotated[int, typer.Option(min=1, help="How many days of learning from all logs so far.")] = 1,
    folder: Annotated[
        Path, typer.Option(help="Where everything goes; the service's log and lists are in out/demo.")
    ] = Path("out/demo"),
) -> None:
    """Run the whole loop on a small simulated world; an interrupted one continues where it was."""
    configs = configs_folder()
    file = configs / "loop" / "demo.yaml"
    config = load_config(LoopConfig, file)
    parts = ("world", "collect", "search", "service", "report")
    shipped = [f"{part}={configs.parent / getattr(config, part)}" for part in parts]
    run_loop(file, days, [*shipped, f"folder={folder}"])


def configs_folder() -> Path:
    """Return the folder `configs`: within an installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "configs"
    return installed if installed.exists() else here.parent / "configs"
