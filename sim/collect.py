"""Collect an event log of simulated listening under random recommendations.

In: a world and a `CollectConfig`. Out: a folder of `events-….jsonl` in the fields of the service's
log, and beside them what they were collected from. A segment is a block of sessions simulated at
once, which follows from (seed, segment) alone.
"""

from calendar import timegm
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from looplib.arrays import NO_TRACK
from looplib.checksums import seal, unseal
from looplib.config import Config, Count, dump_config
from looplib.files import (
    atomic_write,
    atomic_write_json,
    atomic_write_text,
    exclusive,
    remove_leftovers,
    sha256_file,
)
from looplib.progress import progress
from looplib.randomness import make_generator
from sim.errors import SimError
from sim.events import event_times, format_events, window_ms
from sim.listening.sessions import LONGEST_SESSION, start_sessions
from sim.worlds.files import TRACKS_FILE, World, load_world, world_digest

COLLECTION_FILE = "collection.json"
CONFIG_FILE = "collect.yaml"
SCHEMA = 1
START = date(2026, 1, 1)  # of the simulated clock


class CollectConfig(Config):
    """A collection: from which world, how many sessions, and where to."""

    world: Path
    """folder of the world"""
    log: Path
    """folder of the log"""
    episodes: Count
    """number of sessions"""
    recommender: Literal["random"] = "random"
    """random or remote"""
    seed: Annotated[int, Ge(0)] = 0
    """decides all randomness"""
    segment_sessions: Count = 20_000
    """sessions a segment; simulated side by side"""

    @property
    def segments(self) -> int:
        """The number of segments."""
        return -(-self.episodes // self.segment_sessions)

    def sessions_in(self, segment: int) -> range:
        """List the numbers of a segment's sessions in the whole collection."""
        first = segment * self.segment_sessions
        return range(first, min(first + self.segment_sessions, self.episodes))

    def segment_path(self, segment: int) -> Path:
        """Name the file of a segment."""
        return self.log / f"events-{segment:05d}.jsonl"


def collect(config: CollectConfig) -> None:
    """Collect a log, or what is missing of one that an earlier run began.

    Raises:
        SimError: The world cannot be used; the folder holds something else, or is in use by another
            collection; a session does not end.
        OSError: The folder cannot be written.
    """
    world = load_world(config.world)
    config.log.mkdir(parents=True, exist_ok=True)
    refusal = SimError(f"{config.log}: another collection is writing here")
    with exclusive(config.log, refusal):
        _prepare_folder(config, world)
        missing = [
            segment
            for segment in range(config.segments)
            if not config.segment_path(segment).exists()
        ]
        total = sum(len(config.sessions_in(segment)) for segment in missing)
        done = 0
        with progress("collecting", total, "sessions") as report:
            for segment in missing:
                lines = _simulate_segment(world, config, segment)
                with atomic_write(config.segment_path(segment)) as file:
                    file.write(lines)
                done += len(config.sessions_in(segment))
                report(done)


def _prepare_folder(config: CollectConfig, world: World) -> None:
    """Check that the folder is this collection's, or write what its bytes follow from."""
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
        "recommender": config.recommender,
        "start": START.isoformat(),
        "segment_sessions": config.segment_sessions,
    }
    path = config.log / COLLECTION_FILE
    remove_leftovers(config.log)
    if not path.exists():
        if any(config.log.iterdir()):
            raise SimError(
                f"{config.log}: holds files but no {COLLECTION_FILE}; "
                "name an empty or a new folder"
            )
        atomic_write_text(config.log / CONFIG_FILE, dump_config(config))
        atomic_write_json(path, seal(facts))
        return
    try:
        earlier = unseal(path.read_bytes())
    except (ValueError, TypeError) as error:
        raise SimError(f"{path}: not a JSON object ({error})") from None
    differences = [
        f"{key} {earlier.get(key)} there, {value} now"
        for key, value in facts.items()
        if earlier.get(key) != value
    ]
    if differences:
        raise SimError(
            f"{path}: another collection is in this folder: {'; '.join(differences)}"
        )


def _simulate_segment(world: World, config: CollectConfig, segment: int) -> bytes:
    """Play a segment's sessions to their ends.

    Returns:
        Their lines of the event log, in the order of the sessions' starts.
    """
    rng = make_generator(config.seed, "collect", segment)
    numbers = np.array(config.sessions_in(segment))
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
    length_ms = window_ms(config.segment_sessions, world.listeners)
    window = (midnight_ms + segment * length_ms, length_ms)
    timestamp = event_times(listeners, batch.length, hundredths, window, rng)
    order = np.argsort(timestamp[0], kind="stable")
    # of each event: its session in this order, its position in it
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
        recommender=config.recommender,
        session_prefix=f"{config.recommender}-{config.seed}-",
    )
