"""A run against a service, day after day: its sessions, what is shown of them, its summary file."""

import time
from collections.abc import Callable
from pathlib import Path

from looplib.files import atomic_write_json
from looplib.progress import progress
from looplib.start import EXIT_INTERRUPTED
from sim.errors import SimError
from sim.listening.sessions import make_model
from sim.remote.config import RemoteConfig
from sim.remote.drive import run_sessions
from sim.remote.summary import day_document, describe_day
from sim.worlds.files import World, load_world

SCHEMA = 3


def run_remote(config: RemoteConfig, go_on: Callable[[int], bool], say: Callable[[str], None]) -> int:
    """Drive a service, show the results, and return the exit code.

    `go_on` is asked before each day but the first one, with its number, whether it is to begin; `say` shows a line.

    Raises:
        SimError: World or service cannot be used; what was done so far is shown and in the summary file.
    """
    model = make_model(load_world(config.world))
    days: list[dict[str, object]] = []
    for day in range(1, config.days + 1):
        if day > 1 and not go_on(day):
            break
        sessions = range((day - 1) * config.episodes, day * config.episodes)
        began = time.monotonic()
        with progress(f"day {day}", config.episodes, "sessions") as report:
            counts = run_sessions(model, config, sessions, report)
        seconds = time.monotonic() - began
        for line in describe_day(day, seconds, counts):
            say(line)
        days.append(day_document(day, seconds, counts))
        if config.summary:
            _write_summary(config, config.summary, model.world, days)
        if counts.error:
            raise counts.error
        if counts.was_interrupted:
            return EXIT_INTERRUPTED
    return 0


def _write_summary(config: RemoteConfig, file: Path, world: World, days: list[dict[str, object]]) -> None:
    document = {
        "schema": SCHEMA,
        "url": config.address,
        "world": {"sha256": world.sha256},
        "seed": config.seed,
        "episodes": config.episodes,
        "batch": config.batch,
        "concurrency": config.pools,
        "processes": config.processes,
        "days": days,
    }
    try:
        atomic_write_json(file, document)
    except OSError as error:
        raise SimError(f"{file}: cannot be written ({error.strerror})") from None
