"""Worlds from the command line: `python -m sim.world --config configs/world/demo.yaml --out out/demo/world`.

Worlds fitted to real listening are made by `python -m sim.world from-interactions`, which is
`sim.fitted`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import Overrides, importing, make_app, run
from looplib.config import dump_config, load_config
from looplib.progress import output

with importing():
    from sim.card import card_table
    from sim.errors import SimError
    from sim.figures import measure
    from sim.fitted import command as fitting
    from sim.listening.sessions import make_model
    from sim.worlds.config import WorldConfig
    from sim.worlds.files import CONFIG_FILE, load_world, new_world
    from sim.worlds.generate import generate_catalogue, generate_listeners

PROG = "python -m sim.world"
CARD_SESSIONS = 20_000  # that each figure of a card is measured on
HELP = f"""Invent a world: artists in genres, their tracks, and listeners with interests.

Writes tracks.json, tracks.npy, users.json and world.yaml into a new folder, whole or not at all. With --card it prints
published facts about real listening beside the world's figures, as a table in Markdown; without --config those of a
world made before.

\b
Example:
  {PROG} --config configs/world/demo.yaml --out out/demo/world --set seed=7
  {PROG} --card --out out/demo/world

\b
A world can be fitted to real listening instead:
  {PROG} {fitting.COMMAND} --help
"""

app = make_app(HELP)


@app.command()
def _main(
    config: Annotated[
        Path | None, typer.Option(help="YAML file that describes the world.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("out/demo/world"),
    card: Annotated[
        bool, typer.Option("--card", help="Print the realism card, after a minute.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    if config is None and (overrides or not card):
        raise SimError(
            "--config: name the YAML file of a world, such as configs/world/demo.yaml"
        )
    if config and not make_world(
        load_config(WorldConfig, config, overrides or []), out
    ):
        typer.echo(f"{out} holds this very world already; nothing done")
    world = load_world(out)
    typer.echo(
        f"{out}: {world.tracks:,} tracks, {world.artist.max() + 1:,} artists, {world.listeners:,} listeners"
    )
    if card:
        output().print(
            card_table({out.name: measure(make_model(world), CARD_SESSIONS, seed=0)})
        )


def make_world(config: WorldConfig, folder: Path) -> bool:
    """Write a world's folder, whole or not at all.

    Returns:
        False if the folder holds a world of this very configuration already, and nothing was done.

    Raises:
        SimError: The folder exists and holds something else, or cannot be written.
    """
    if folder.exists():
        settings = folder / CONFIG_FILE
        if not settings.exists():
            raise SimError(
                f"{folder}: exists and holds no {CONFIG_FILE}; name a new folder"
            )
        if load_config(WorldConfig, settings) != config:
            raise SimError(
                f"{folder}: holds a world of another configuration ({settings}); name a new folder"
            )
        return False
    tracks, embeddings, popularity = generate_catalogue(config)
    with new_world(
        folder, tracks, generate_listeners(config, popularity), embeddings
    ) as new:
        (new / CONFIG_FILE).write_text(dump_config(config), encoding="utf-8")
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, or that of fitted worlds if it is named first, and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == [fitting.COMMAND]:
        return run(fitting.app, f"{PROG} {fitting.COMMAND}", words[1:])
    return run(app, PROG, words)


if __name__ == "__main__":
    sys.exit(main())
