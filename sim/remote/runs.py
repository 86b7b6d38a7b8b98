"""A run against a service, day after day: its sessions, its tables, its summary file."""

import asyncio
from collections.abc import Callable

import numpy as np
import orjson
from rich.console import Console

from looplib.arrays import FloatArray
from looplib.cli import EXIT_INTERRUPTED
from looplib.files import atomic_write_text
from looplib.progress import progress
from sim.errors import RemoteError
from sim.listening.drift import draw_present, hyped
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.arms import ask_assignments
from sim.remote.client import Drive, has_batches
from sim.remote.config import RemoteConfig
from sim.remote.connection import Address
from sim.remote.processes import run_drive
from sim.remote.summary import Day, day_notes, day_table, document, summarise
from sim.worlds.files import World, load_world

GoOn = Callable[[int], bool]


def run_remote(config: RemoteConfig, go_on: GoOn, console: Console) -> int:
    """Drives a service, shows what came of it, and returns the exit code.

    Args:
        config: What to do.
        go_on: Asked before each day but the first one, with its number, whether it is to begin.
        console: Where the tables go.

    Raises:
        RemoteError: The service cannot be used; what was done so far is shown and in the summary file.
        WorldError: The world cannot be used.
    """
    address = Address.parse(config.url)
    world = load_world(config.world)
    batch = config.batch
    if not asyncio.run(has_batches(address, config.timeout_s, config.patience_s)) and batch:
        console.print("the service has no addresses for many listeners; asking for one at a time")
        batch = 0
    model = make_model(world)
    days: list[Day] = []
    satisfaction = np.full(world.listeners, np.nan)
    for number in range(1, config.days + 1):
        if number > 1 and not go_on(number):
            break
        day, error, was_interrupted = _run_day(config, number, batch, model, address, satisfaction)
        satisfaction = np.where(day.tally.sessions > 0, day.tally.satisfaction, satisfaction)
        days.append(day)
        console.print(day_table(day))
        for note in day_notes(day):
            console.print(note)
        _write_summary(config, world, days)
        if error:
            raise error
        if was_interrupted:
            return EXIT_INTERRUPTED
    return 0


def _run_day(
    config: RemoteConfig,
    number: int,
    batch: int,
    model: ListeningModel,
    address: Address,
    satisfaction: FloatArray,
) -> tuple[Day, RemoteError | None, bool]:
    if config.hype:
        model = hyped(config.hype, model, config.seed, number)
    present = draw_present(config.returns, satisfaction, config.seed, number) if config.returns else None
    assignments = asyncio.run(ask_assignments(address, model.world.listeners, config.timeout_s))
    plan = Drive(
        url=config.url,
        seed=config.seed,
        sessions=range((number - 1) * config.episodes, number * config.episodes),
        lanes=config.lanes,
        batch=batch,
        timeout_s=config.timeout_s,
        patience_s=config.patience_s,
        present=present,
    )
    with progress(f"day {number}", config.episodes, "sessions") as report:
        run = run_drive(model, plan, config.processes, report)
    why = str(run.error) if run.error else "interrupted" if run.was_interrupted else None
    return summarise(number, run.tally, assignments, run.seconds, why, present), run.error, run.was_interrupted


def _write_summary(config: RemoteConfig, world: World, days: list[Day]) -> None:
    if config.summary is None:
        return
    facts: dict[str, object] = {
        "url": config.url,
        "world": {"sha256": world.sha256},
        "seed": config.seed,
        "episodes": config.episodes,
        "batch": config.batch,
        "concurrency": config.lanes,
        "processes": config.processes,
    }
    text = orjson.dumps(document(days, facts), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        atomic_write_text(config.summary, text.decode())
    except OSError as error:
        raise RemoteError(f"{config.summary}: cannot be written ({error.strerror})") from None
