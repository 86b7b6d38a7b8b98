"""Makes a world: `python -m sim.world --config configs/world/demo.yaml --out out/demo/world`.

Worlds fitted to real listening are made by `python -m sim.world from-interactions`, which is `sim.fitted`.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from looplib.cli import make_app, run
from looplib.config import dump_config, load_config
from sim.calibration import calibrate, compare
from sim.errors import WorldError
from sim.fitted import command as fitting
from sim.listening.sessions import make_model
from sim.worlds.config import WorldConfig
from sim.worlds.files import CONFIG_FILE, load_world
from sim.worlds.generate import Catalogue, Listeners, generate_catalogue, generate_listeners
from sim.worlds.writer import new_world

PROG = "python -m sim.world"
HELP = f"""Invents a world: artists in genres, their tracks, and listeners with interests.

Writes tracks.json, tracks.npy, users.json and world.yaml into a new folder, whole or not at all, and says how far
the world's figures lie within the ranges of its configuration.

\b
Example:
  {PROG} --config configs/world/demo.yaml --out out/demo/world --set seed=7

\b
A world can be fitted to real listening instead:
  {PROG} {fitting.COMMAND} --help
"""

app = make_app(HELP)


@app.command(help=HELP)
def _main(
    config: Annotated[Path, typer.Option(help="YAML file that describes the world.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
) -> None:
    settings = load_config(WorldConfig, config, overrides or [])
    if not make_world(settings, out):
        typer.echo(f"{out} holds this very world already; nothing done")
        return
    for line in describe_world(settings, out):
        typer.echo(line)


def make_world(config: WorldConfig, folder: Path) -> bool:
    """Writes a world's folder, whole or not at all.

    Returns:
        False if the folder holds a world of this very configuration already, and nothing was done.

    Raises:
        WorldError: The folder exists and holds something else, or cannot be written.
    """
    if folder.exists():
        _check_same_world(config, folder)
        return False
    catalogue = generate_catalogue(config)
    listeners = generate_listeners(config, catalogue.popularity)
    with new_world(folder, track_records(catalogue), user_records(listeners), catalogue.embeddings) as new:
        (new / CONFIG_FILE).write_text(dump_config(config), encoding="utf-8")
    return True


def describe_world(config: WorldConfig, folder: Path) -> list[str]:
    """Lines that say what was made and how its figures compare with the ranges meant."""
    world = load_world(folder)
    lines = [f"{folder}: {world.tracks:,} tracks, {world.artist.max() + 1:,} artists, {world.listeners:,} listeners"]
    if config.calibration is None:
        return lines
    figures = calibrate(make_model(world), config.calibration.sessions, config.seed)
    for reading in compare(figures, config.calibration):
        verdict = "within" if reading.within else "OUTSIDE"
        lines.append(f"{reading.name}: {reading.value:.3f}, {verdict} {reading.span.low:g}..{reading.span.high:g}")
    return lines


def track_records(catalogue: Catalogue) -> Iterable[dict[str, object]]:
    """The lines of `tracks.json`."""
    tracks = len(catalogue.titles)
    relative = np.round(catalogue.popularity * tracks, 4).tolist()
    columns = zip(catalogue.artist.tolist(), catalogue.titles, catalogue.genre.tolist(), relative, strict=True)
    for track, (artist, title, genre, popularity) in enumerate(columns):
        yield {
            "track": track,
            "artist": catalogue.artist_names[artist],
            "title": title,
            "genre": catalogue.genre_names[genre],
            "popularity": popularity,
        }


def user_records(listeners: Listeners) -> Iterable[dict[str, object]]:
    """The lines of `users.json`."""
    columns = zip(
        listeners.interests, listeners.consume_bias.tolist(), listeners.consume_sharpness.tolist(), strict=True
    )
    for user, (interests, bias, sharpness) in enumerate(columns):
        yield {
            "user": user,
            "interests": interests,
            "consume_bias": bias,
            "consume_sharpness": sharpness,
            "session_budget": listeners.session_budget,
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command, or that of fitted worlds if it is named first, and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == [fitting.COMMAND]:
        return run(fitting.app, f"{PROG} {fitting.COMMAND}", words[1:])
    return run(app, PROG, words)


def _check_same_world(config: WorldConfig, folder: Path) -> None:
    settings = folder / CONFIG_FILE
    if not settings.exists():
        raise WorldError(f"{folder}: exists and holds no {CONFIG_FILE}; name a new folder")
    if load_config(WorldConfig, settings) != config:
        raise WorldError(f"{folder}: holds a world of another configuration ({settings}); name a new folder")


if __name__ == "__main__":
    sys.exit(main())
