"""`python -m sim.world from-interactions`: reads files, writes a world's folder, shows how good it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from looplib.cli import Overrides, make_app
from looplib.config import dump_config, load_config
from looplib.files import atomic_write_json, sha256_file
from looplib.progress import output, progress
from looplib.randomness import make_generator
from sim.card import FIGURE_TEXTS
from sim.errors import SimError
from sim.figures import describe, listen
from sim.fitted.data import (
    FACTORS_FILE,
    LOG_SUFFIX,
    ListeningTable,
    find_factors,
    find_files,
    read_factors,
    read_log,
    read_table,
    read_texts,
)
from sim.fitted.reproduction import (
    NEIGHBOURS,
    compare_listening,
    compare_sessions,
    simulate_listening,
)
from sim.fitted.world import FitConfig, FittedWorld, fit_world
from sim.listening.sessions import make_model
from sim.recommenders import recommend_random
from sim.worlds.files import FIT_FILE, TRACKS_FILE, load_world, new_world

COMMAND = "from-interactions"
FACTS_FILE = "fit.json"
SCHEMA = 1
_SESSIONS = 20_000

HELP = f"""Fit a world to real listening: who heard which track how much, and the factors of an export of it.

FILE is CSV, gzipped or not, with the columns user, track and weight. Tracks lie where their factors point; sessions
open with what their listener heard, as often as it was heard. The world's ids are 0..n-1; those of the data stand
beside them as "id". Writes a world's files, {FIT_FILE} and {FACTS_FILE} into a new folder, whole or not at all, and
says how well simulated listening reproduces the data.

FILE can be an event log instead, *{LOG_SUFFIX} or a folder of such files, which says more: sessions open with what
opened them in the log, and shares, their noise, the wear of artists and sessions, and lengths are the log's.

\b
Examples:
  python -m sim.world {COMMAND} plays.csv.gz --export out/run/export --catalogue tracks.json --out out/world
  python -m sim.world {COMMAND} out/demo/log --export out/demo/run/export --out out/fitted
"""
_NOTE = (
    "Opening tracks of sessions against the data, each listener counting alike. Popularity: inequality (Gini), rank "
    "correlation, 1 if tracks have the same order; held-out: half of the listeners simulated, against the data of the "
    "other half, whose agreement with their own is the limit. Co-listening: share of a track's "
    f"{NEIGHBOURS} tracks heard most by the same listeners that are among its {NEIGHBOURS} in the simulation; chance: "
    "with another track's. Sessions: those of half of the listeners, recommended what the log recommended to them, "
    "against the log's of the other half."
)

app = make_app(HELP)


@app.command()
def _main(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Interactions, or event logs."),
    ],
    export: Annotated[
        Path,
        typer.Option(
            help=f"Folder of recsys.export, or of one version, with {FACTORS_FILE}."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    catalogue: Annotated[
        Path | None, typer.Option(help=f"{TRACKS_FILE} with the artists and titles.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of what the data do not say.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    settings = load_config(FitConfig, config, overrides or [])
    _show(make_fitted_world(files, export, catalogue, settings, out), settings, out)


def make_fitted_world(
    files: Sequence[Path],
    export: Path,
    catalogue: Path | None,
    config: FitConfig,
    folder: Path,
) -> dict[str, Any]:
    """Fit a world and write its folder, whole or not at all.

    `export` is a published version of recommendations, or the folder of them; without a catalogue
    each track has an artist of its own.

    Returns:
        The content of `fit.json`.

    Raises:
        SimError: The files cannot be read or contradict each other; the folder exists, or cannot be
            written.
    """
    if folder.exists():
        raise SimError(f"{folder}: exists; name a new folder")
    factors_file = find_factors(export)
    with progress("fitting", 3, "steps") as report:
        factors = read_factors(factors_file)
        texts = read_texts(catalogue, factors.tracks)
        files = find_files(files)
        users, tracks = factors.users, factors.tracks
        log = read_log(files, users, tracks) if files[0].suffix == LOG_SUFFIX else None
        if log:
            table = ListeningTable.of(
                len(users), len(tracks), log.listener, log.organic
            )
        else:
            table = read_table(files, users, tracks)
        report(1, "read")
        world = fit_world(table, factors, texts, config, log)
        report(2, "fitted")
        inputs = {
            "interactions": [sha256_file(path) for path in files],
            "factors": sha256_file(factors_file),
            "catalogue": sha256_file(catalogue) if catalogue else None,
            "config": config.model_dump(mode="json"),
        }
        facts: dict[str, Any] = {"schema": SCHEMA, "inputs": inputs}
        with new_world(folder, world.tracks, world.users, world.embeddings) as new:
            effective = config.model_copy(
                update={
                    "gamma": world.response.gamma,
                    "response": world.response.beyond,
                }
            )
            (new / FIT_FILE).write_text(dump_config(effective), encoding="utf-8")
            facts |= _measure(new, world, len(factors.users), config)
            atomic_write_json(new / FACTS_FILE, facts)
        report(3, "compared")
    return facts


def _measure(
    folder: Path, fitted: FittedWorld, users: int, config: FitConfig
) -> dict[str, Any]:
    """Return the figures of a world as it is read back from its folder."""
    model = make_model(load_world(folder))
    listeners = make_generator(config.seed, "fitted sessions").integers(
        model.world.listeners, size=_SESSIONS
    )
    random = describe(listen(model, recommend_random, listeners, config.seed))
    log, response, count = fitted.log, fitted.response, config.sessions
    if log:  # as many sessions as in the log: the fewer there are, the more unequal are tracks
        count = max(len(log.listener) // model.world.listeners, 1)
    simulated = simulate_listening(model, count, config.seed)
    sessions = compare_sessions(model, log, config.seed) if log else {}
    return {
        "tracks": model.world.tracks,
        "artists": int(model.world.artist.max()) + 1,
        "listeners": model.world.listeners,
        "silent_listeners": users - model.world.listeners,
        "unplaced_tracks": fitted.unplaced,
        "tuning": {
            "squared_length": response.squared_length,
            "near_share": response.near_share,
        },
        "response": {
            "gamma": response.gamma,
            **response.beyond.model_dump(mode="json"),
        },
        "listening": {"tracks": random["tracks"], "time": random["time"]},
        "reproduction": compare_listening(fitted.table, simulated, config.seed),
        "sessions": {
            name: {"data": data, "simulated": found}
            for name, (data, found) in sessions.items()
        },
    }


def _show(facts: dict[str, Any], config: FitConfig, folder: Path) -> None:
    listening, found = facts["listening"], facts["reproduction"]
    typer.echo(
        f"{folder}: {facts['tracks']:,} tracks, {facts['artists']:,} artists, {facts['listeners']:,} listeners"
    )
    if facts["silent_listeners"]:
        typer.echo(
            f"{facts['silent_listeners']:,} listeners of the factors heard nothing and are left out"
        )
    if facts["unplaced_tracks"]:
        typer.echo(
            f"{facts['unplaced_tracks']:,} tracks have factors of 0 and lie anywhere"
        )
    if near_share := facts["tuning"]["near_share"]:
        typer.echo(
            f"listening time a session, random: {listening['time']:.3f}, {config.random_listening:g} wanted"
        )
        typer.echo(
            f"share heard near an interest: {near_share:.3f}, {config.near_share:g} wanted"
        )
        typer.echo(f"tracks a session, random: {listening['tracks']:.3f}")
    table = Table("figure", "simulated", "compare with")
    for name, pair in facts["sessions"].items():
        text = FIGURE_TEXTS.get(name, name)
        table.add_row(
            text, f"{pair['simulated']:.3g}", f"{pair['data']:.3g}, held-out listeners"
        )
    table.add_row(
        "popularity, Gini",
        f"{found['gini']:.3f}",
        f"{found['data_gini']:.3f}, the data",
    )
    table.add_row("popularity, rank correlation", f"{found['popularity']:.3f}", "1")
    table.add_row(
        "the same, held-out listeners",
        f"{found['held_out']:.3f}",
        f"{found['held_out_data']:.3f}, the limit",
    )
    co_listening = f"co-listening, top {NEIGHBOURS} of {found['tracks']:,} tracks"
    table.add_row(
        co_listening, f"{found['co_listening']:.3f}", f"{found['chance']:.3f}, chance"
    )
    limit = f"{found['held_out_co_listening_data']:.3f}, the limit"
    table.add_row(
        "the same, held-out listeners", f"{found['held_out_co_listening']:.3f}", limit
    )
    output().print(table)
    typer.echo(_NOTE)
