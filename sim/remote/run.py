"""A run against a service, day after day: its sessions, its tables, its summary file."""

import asyncio
import time
from collections.abc import Callable

from rich.console import Console

from looplib.files import atomic_write_json
from looplib.progress import progress
from looplib.start import EXIT_INTERRUPTED
from sim.errors import RemoteError
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.config import RemoteConfig
from sim.remote.drive import run_sessions
from sim.remote.service import ask_arms
from sim.remote.summary import Day, day_document, day_notes, day_table
from sim.worlds.files import World, load_world

SCHEMA = 2


def run_remote(config: RemoteConfig, go_on: Callable[[int], bool], console: Console) -> int:
    """Drive a service, show the results, and return the exit code.

    `go_on` is asked before each day but the first one, with its number, whether it is to begin.

    Raises:
        RemoteError: The service cannot be used; what was done so far is shown and in the summary file.
        WorldError: The world cannot be used.
    """
    model = make_model(load_world(config.world))
    days: list[Day] = []
    for number in range(1, config.days + 1):
        if number > 1 and not go_on(number):
            break
        day = _run_day(config, number, model)
        days.append(day)
        console.print(day_table(day))
        for note in day_notes(day):
            console.print(note)
        _write_summary(config, model.world, days)
        if day.counts.error:
            raise day.counts.error
        if day.counts.was_interrupted:
            return EXIT_INTERRUPTED
    return 0


def _run_day(config: RemoteConfig, number: int, model: ListeningModel) -> Day:
    arms = asyncio.run(ask_arms(config, model.world.listeners))
    sessions = range((number - 1) * config.episodes, number * config.episodes)
    began = time.monotonic()
    with progress(f"day {number}", config.episodes, "sessions") as report:
        counts = run_sessions(model, config, sessions, report)
    return Day(number, time.monotonic() - began, counts, arms)


def _write_summary(config: RemoteConfig, world: World, days: list[Day]) -> None:
    if config.summary is None:
        return
    document = {
        "schema": SCHEMA,
        "url": config.address,
        "world": {"sha256": world.sha256},
        "seed": config.seed,
        "episodes": config.episodes,
        "batch": config.batch,
        "concurrency": config.pools,
        "processes": config.processes,
        "days": [day_document(day) for day in days],
    }
    try:
        atomic_write_json(config.summary, document)
    except OSError as error:
        raise RemoteError(f"{config.summary}: cannot be written ({error.strerror})") from None
