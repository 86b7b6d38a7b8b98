"""Worlds from the command line: `listening-loop world --config configs/world/demo.yaml`."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer

from looplib.cli import Overrides, make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_directory
from sim.errors import SimError
from sim.worlds.config import WorldConfig
from sim.worlds.files import CONFIG_FILE, EMBEDDINGS_FILE, TRACKS_FILE, USERS_FILE
from sim.worlds.generate import generate_catalogue, generate_listeners

PROG = "listening-loop world"
HELP = f"""Invent a world: artists in genres, their tracks, and listeners with interests.

Writes tracks.json, tracks.npy, users.json and world.yaml into a new folder, whole or not at all.

\b
Example:
  {PROG} --config configs/world/demo.yaml --out out/demo/world --set seed=7
"""

app = make_app(HELP)


@app.command()
def _main(
    config: Annotated[Path, typer.Option(help="YAML file that describes the world.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("out/demo/world"),
    overrides: Overrides = None,
) -> None:
    settings = load_config(WorldConfig, config, overrides or [])
    if not make_world(settings, out):
        typer.echo(f"{out} holds this very world already; nothing done")
    typer.echo(
        f"{out}: {settings.tracks:,} tracks, {settings.artists:,} artists, "
        f"{settings.listeners:,} listeners"
    )


def make_world(config: WorldConfig, folder: Path) -> bool:
    """Write a world's folder, whole or not at all.

    Returns:
        False if the folder holds a world of this very configuration already, and nothing was done.

    Raises:
        SimError: The folder exists and holds something else.
        OSError: The folder cannot be written.
    """
    if folder.exists():
        settings = folder / CONFIG_FILE
        if not settings.exists():
            raise SimError(
                f"{folder}: exists and holds no {CONFIG_FILE}; name a new folder"
            )
        if load_config(WorldConfig, settings) != config:
            raise SimError(
                f"{folder}: holds a world of another configuration ({settings}); "
                "name a new folder"
            )
        return False
    tracks, embeddings, popularity = generate_catalogue(config)
    listeners = generate_listeners(config, popularity)
    with atomic_directory(folder) as new:
        for name, records in ((TRACKS_FILE, tracks), (USERS_FILE, listeners)):
            lines = [orjson.dumps(record) + b"\n" for record in records]
            (new / name).write_bytes(b"".join(lines))
        np.save(new / EMBEDDINGS_FILE, embeddings)
        (new / CONFIG_FILE).write_text(dump_config(config), encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(run(app, PROG))
