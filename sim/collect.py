"""Collect an event log of simulated listening: a folder of segments, and beside them what they were collected from.

In: a world and a `CollectConfig`. Out: a folder of `events-….jsonl`, one JSON object a line in the
fields of the service's log. A segment is a block of sessions simulated at once, which follows from
(seed, segment) alone.

On the simulated clock a segment of sessions has a window of its own, after the windows of the
segments before it, long enough for each listener to come once a day on average. In it a listener's
sessions have slots of equal length, each lies anywhere in its slot, and ends `SESSION_GAP_MS`
before the slot does: a listener's sessions never overlap.
"""

import math
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
from pydantic import Field

from looplib.arrays import IntArray
from looplib.config import Config, Count, dump_config
from looplib.files import (
    atomic_write,
    atomic_write_json,
    atomic_write_text,
    exclusive,
    remove_leftovers,
)
from looplib.progress import progress
from looplib.randomness import make_generator
from sim.errors import SimError
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.recommenders import play_out, recommend_random
from sim.workers import run_jobs
from sim.worlds.files import World, load_world

COLLECTION_FILE = "collection.json"
CONFIG_FILE = "collect.yaml"
SCHEMA = 1
DAY_MS = 24 * 60 * 60 * 1000
SESSION_GAP_MS = (
    31 * 60 * 1000
)  # a log without session ids is split at 30 minutes of silence
SKIP_MS = 1000  # what a track takes of which nothing is heard
TRACK_MS = 180 * 1000  # and how much more one takes that is heard whole
_TIMES = np.array([str(hundredths / 100) for hundredths in range(101)], dtype=object)


@dataclass(frozen=True)
class Events:
    """Sessions as events: sessions one after the other, a session's events in playing order."""

    session: IntArray  # (sessions,) number of the session in the whole collection
    listener: IntArray  # (sessions,)
    length: IntArray  # (sessions,) events of each, one at least
    timestamp: IntArray  # (events,) ms since the epoch, UTC
    track: IntArray  # (events,)
    hundredths: IntArray  # (events,) share heard of the track, in hundredths
    propensity: float  # of every recommendation


def format_events(events: Events, recommender: str, session_prefix: str) -> bytes:
    """Return the lines of the event log.

    The recommendation of an event is the session's next track; a session's last event is its `last`
    message, with neither recommendation nor recommender. `session_prefix` stands before a session's
    number in its id.
    """
    is_last = np.zeros(len(events.track), dtype=np.bool_)
    is_last[np.cumsum(events.length) - 1] = True
    recommendation = np.append(events.track[1:], 0).astype(object)
    recommendation[is_last] = "null"
    tail = f'"recommender":"{recommender}","propensity":{events.propensity!r}}}\n'
    columns = zip(
        np.where(is_last, "last", "next").tolist(),
        events.timestamp.tolist(),
        np.repeat(events.listener, events.length).tolist(),
        events.track.tolist(),
        _TIMES[events.hundredths].tolist(),
        recommendation.tolist(),
        np.repeat(events.session, events.length).tolist(),
        np.where(is_last, '"recommender":null,"propensity":null}\n', tail).tolist(),
        strict=True,
    )
    lines = [
        f'{{"message":"{message}","timestamp":{timestamp},"user":{user},"track":{track},"time":{time},"latency":0.0,'
        f'"recommendation":{following},"experiments":{{}},"session":"{session_prefix}{session}",{end}'
        for message, timestamp, user, track, time, following, session, end in columns
    ]
    return "".join(lines).encode("ascii")


def window_ms(segment_sessions: int, listeners: int) -> int:
    """Return the length of a segment's window: a day for each session of a listener on average, one at least."""
    return math.ceil(max(1.0, segment_sessions / listeners)) * DAY_MS


def event_times(
    listeners: IntArray,
    lengths: IntArray,
    hundredths: IntArray,
    window: tuple[int, int],
    rng: np.random.Generator,
) -> IntArray:
    """Return when each track ends and its event is logged (longest, sessions), in ms since the epoch.

    A session longer than its slot, which takes a listener with far more sessions than others, has
    its events evenly spaced in what the slot has room for. What stands behind a session's end means
    nothing.

    Args:
        listeners: (sessions,) whose session it is.
        lengths: (sessions,) tracks of each, one at least.
        hundredths: (longest, sessions) share heard of each track; anything behind a session's end.
        window: Start and length of the segment's window, in ms.
        rng: Where in its slot a session lies.

    Raises:
        SimError: A listener has more sessions than the window can hold.
    """
    start_ms, window_length_ms = window
    _, which, counts = np.unique(listeners, return_inverse=True, return_counts=True)
    sessions = counts[which]  # of the same listener
    earlier = np.empty(len(listeners), dtype=np.int64)
    earlier[np.argsort(which, kind="stable")] = np.arange(len(which)) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    slot = window_length_ms // sessions
    room = slot - SESSION_GAP_MS
    if np.any(room < lengths):
        days = window_length_ms // DAY_MS
        raise SimError(
            f"a listener has {sessions.max()} sessions in {days} days, too many to keep apart"
        )
    ends = np.cumsum(SKIP_MS + hundredths * (TRACK_MS // 100), axis=0)
    total = ends[lengths - 1, np.arange(len(lengths))]
    even = np.arange(1, len(ends) + 1)[:, None] * (room // lengths)
    spare = room - np.minimum(total, room)
    starts = (
        start_ms
        + earlier * slot
        + (rng.random(len(listeners)) * spare).astype(np.int64)
    )
    return starts + np.where(total > room, even, ends)


class CollectConfig(Config):
    """What to collect, from which world, and where to."""

    world: Path = Field(description="folder of the world")
    log: Path = Field(description="folder of the log")
    episodes: Count = Field(description="number of sessions; with days, of each day")
    recommender: Literal["random"] = Field(
        default="random", description="random, remote or console"
    )
    seed: int = Field(default=0, ge=0, description="decides all randomness")
    processes: int = Field(
        default=1,
        ge=1,
        le=512,
        description="processes that work; the result is the same for any",
    )
    start: date = Field(
        default=date(2026, 1, 1), description="first day of the simulated clock"
    )
    segment_sessions: Count = Field(
        default=20_000, description="sessions a segment; simulated side by side"
    )

    @property
    def segments(self) -> int:
        """The number of segments."""
        return -(-self.episodes // self.segment_sessions)

    def sessions_in(self, segment: int) -> range:
        """Return the numbers of a segment's sessions in the whole collection."""
        first = segment * self.segment_sessions
        return range(first, min(first + self.segment_sessions, self.episodes))

    def segment_path(self, segment: int) -> Path:
        """Return the file of a segment."""
        return self.log / f"events-{segment:05d}.jsonl"


def collect(config: CollectConfig) -> int:
    """Collect a log, or what is missing of one that an earlier run began with the same parameters.

    Returns:
        The number of segments that were there already.

    Raises:
        SimError: The world cannot be used; the folder holds something else, is in use by another
            collection, or cannot be written; a worker died.
    """
    world = load_world(config.world)
    try:
        config.log.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SimError(f"{config.log}: a folder is expected, found a file") from None
    with exclusive(
        config.log, SimError(f"{config.log}: another collection is writing here")
    ):
        _prepare_folder(config, world)
        missing = [
            segment
            for segment in range(config.segments)
            if not config.segment_path(segment).exists()
        ]
        if missing:
            _write_segments(config, missing, make_model(world))
    return config.segments - len(missing)


def _prepare_folder(config: CollectConfig, world: World) -> None:
    """Check that the folder is this collection's, and write what its bytes follow from before any segment."""
    facts = {
        "schema": SCHEMA,
        "catalogue": {"sha256": world.catalogue_sha256, "tracks": world.tracks},
        "world": {"sha256": world.sha256},
        "users": world.listeners,
        "seed": config.seed,
        "episodes": config.episodes,
        "recommender": config.recommender,
        "start": config.start.isoformat(),
        "segment_sessions": config.segment_sessions,
    }
    path = config.log / COLLECTION_FILE
    remove_leftovers(config.log)
    if not path.exists():
        if any(config.log.iterdir()):
            raise SimError(
                f"{config.log}: holds files but no {COLLECTION_FILE}; name an empty or a new folder"
            )
        atomic_write_text(config.log / CONFIG_FILE, dump_config(config))
        atomic_write_json(path, facts)
        return
    try:
        found = dict(orjson.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise SimError(f"{path}: not a JSON object ({error})") from None
    other = [
        f"{key} {found.get(key)} there, {value} now"
        for key, value in facts.items()
        if found.get(key) != value
    ]
    if other:
        raise SimError(
            f"{path}: another collection is in this folder: {'; '.join(other)}"
        )


def _write_segments(
    config: CollectConfig, missing: list[int], model: ListeningModel
) -> None:
    total = sum(len(config.sessions_in(segment)) for segment in missing)
    begun, done = time.monotonic(), 0
    job = partial(_write_segment, model, config)
    try:
        with progress("collecting", total, "sessions") as report:
            for sessions in run_jobs(job, missing, min(config.processes, len(missing))):
                done += sessions
                report(done, f"{done / (time.monotonic() - begun):,.0f} sessions/s")
    finally:
        remove_leftovers(config.log)


def _write_segment(model: ListeningModel, config: CollectConfig, segment: int) -> int:
    """Simulate a segment, write it, whole or not at all, and return how many sessions it holds."""
    path = config.segment_path(segment)
    events = _simulate_segment(model, config, segment)
    try:
        with atomic_write(path) as file:
            file.write(
                format_events(
                    events, config.recommender, f"{config.recommender}-{config.seed}-"
                )
            )
    except OSError as error:
        raise SimError(f"{path}: cannot be written ({error.strerror})") from None
    return len(events.session)


def _simulate_segment(
    model: ListeningModel, config: CollectConfig, segment: int
) -> Events:
    """Play a segment's sessions; they are in the order of their starts, and numbered in it."""
    rng = make_generator(config.seed, "collect", segment)
    numbers = config.sessions_in(segment)
    sessions = Sessions(
        model, rng.integers(model.world.listeners, size=len(numbers)), rng
    )
    play_out(sessions, recommend_random, rng)
    hundredths = sessions.hundredths[: sessions.length.max()].astype(np.int64)
    length_ms = window_ms(config.segment_sessions, model.world.listeners)
    midnight = datetime(
        config.start.year, config.start.month, config.start.day, tzinfo=UTC
    )
    window = (1000 * int(midnight.timestamp()) + segment * length_ms, length_ms)
    timestamp = event_times(sessions.listener, sessions.length, hundredths, window, rng)
    order = np.argsort(timestamp[0], kind="stable")
    # of each event: its session, its place in it
    which, position = np.nonzero(sessions.is_played()[:, order].T)
    session = order[which]
    return Events(
        session=np.array(numbers),
        listener=sessions.listener[order],
        length=sessions.length[order],
        timestamp=timestamp[position, session],
        track=sessions.tracks[position, session].astype(np.int64),
        hundredths=hundredths[position, session],
        propensity=1.0 / model.world.tracks,
    )
