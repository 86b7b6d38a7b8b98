"""Collect an event log of simulated listening under random recommendations.

In: a world and a `SimulateConfig`. Out: a folder of `events-….jsonl` in the fields of the service's
log, and beside them the source of the collection. A segment is a block of sessions simulated at
once, which follows from (seed, segment) alone.
"""

from calendar import timegm
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from looplib.arrays import NO_TRACK, IntArray
from looplib.checksums import seal, unseal
from looplib.config import dump_config
from looplib.files import (
    atomic_directory,
    atomic_write_json,
    atomic_write_text,
    sha256_file,
)
from looplib.progress import progress
from looplib.randomness import make_generator
from sim.config import SimulateConfig
from sim.errors import SimError
from sim.events import event_times, format_events, window_ms
from sim.listening.sessions import LONGEST_SESSION, start_sessions
from sim.worlds.files import TRACKS_FILE, World, load_world, world_digest

COLLECTION_FILE = "collection.json"
CONFIG_FILE = "collect.yaml"
SCHEMA = 1
START = date(2026, 1, 1)  # start of the simulated clock
RECOMMENDER = "random"
# sessions in a file of the log, simulated side by side in less than 1 GB
SEGMENT_SESSIONS = 20_000


def collect(config: SimulateConfig) -> None:
    """Collect a log, unless it is there already.

    Raises:
        SimError: The world cannot be used; the folder holds something else; a session does not end.
        OSError: The folder cannot be written.
    """
    world = load_world(config.world)
    facts = {
        "schema": SCHEMA,
        "catalogue": {
            "sha256": sha256_file(config.world / TRACKS_FILE),
            "tracks": world.tracks,
        },
        "world": {"sha256": world_digest(config.world)},
        "users": world.listeners,
        "seed": config.seed,
        "episodes": config.episodes,
        "start": START.isoformat(),
    }
    if config.log.exists():
        _check_collected(config.log / COLLECTION_FILE, facts)
        return
    with (
        atomic_directory(config.log) as folder,
        progress("collecting", config.episodes, "sessions") as report,
    ):
        firsts = range(0, config.episodes, SEGMENT_SESSIONS)
        for segment, first in enumerate(firsts):
            end = min(first + SEGMENT_SESSIONS, config.episodes)
            lines = _simulate_segment(world, config, segment, np.arange(first, end))
            (folder / f"events-{segment:05d}.jsonl").write_bytes(lines)
            report(end)
        atomic_write_text(folder / CONFIG_FILE, dump_config(config))
        atomic_write_json(folder / COLLECTION_FILE, seal(facts))


def _check_collected(path: Path, facts: Mapping[str, object]) -> None:
    """Raise a `SimError` unless a log was collected from the same facts."""
    try:
        collected = unseal(path.read_bytes())
    except FileNotFoundError:
        raise SimError(
            f"{path.parent}: exists and holds no {COLLECTION_FILE}; name a new folder"
        ) from None
    except (ValueError, TypeError) as error:
        raise SimError(f"{path}: not a JSON object ({error})") from None
    differences = [
        f"{key} {collected.get(key)} there, {value} now"
        for key, value in facts.items()
        if collected.get(key) != value
    ]
    if differences:
        raise SimError(
            f"{path}: another collection is in this folder: {'; '.join(differences)}"
        )


def _simulate_segment(
    world: World, config: SimulateConfig, segment: int, numbers: IntArray
) -> bytes:
    """Play a segment's sessions, of these numbers in the whole collection, to their ends.

    Returns:
        Their lines of the event log, in the order of the sessions' starts.
    """
    rng = make_generator(config.seed, "collect", segment)
    listeners = rng.integers(world.listeners, size=len(numbers))
    batch = start_sessions(world, listeners, rng)
    while len(rows := batch.under_way()):
        if batch.length.max() > LONGEST_SESSION:
            raise SimError(
                f"listener {batch.listener[rows[0]]} is not bored "
                f"after {LONGEST_SESSION} tracks in one session"
            )
        tracks = rng.integers(world.tracks, size=len(rows))
        batch.hear(rows, tracks, rng.random(len(rows)))
    played = batch.tracks[: batch.length.max()]
    hundredths = batch.hundredths[: batch.length.max()].astype(np.int64)
    midnight_ms = 1000 * timegm(START.timetuple())
    length_ms = window_ms(SEGMENT_SESSIONS, world.listeners)
    window = (midnight_ms + segment * length_ms, length_ms)
    timestamp = event_times(listeners, batch.length, hundredths, window, rng)
    order = np.argsort(timestamp[0], kind="stable")
    # session of each event in this order, and its position there
    session, position = np.nonzero(played[:, order].T != NO_TRACK)
    row = order[session]
    return format_events(
        session=numbers[session],
        listener=listeners[row],
        is_last=position == batch.length[row] - 1,
        timestamp=timestamp[position, row],
        track=played[position, row].astype(np.int64),
        hundredths=hundredths[position, row],
        propensity=1.0 / world.tracks,
        session_prefix=f"{RECOMMENDER}-{config.seed}-",
        recommender=RECOMMENDER,
    )
