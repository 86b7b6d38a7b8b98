"""Collects an event log: a folder of segments, and beside them what they were collected from."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import orjson
from pydantic import Field

from looplib.config import Config, dump_config
from looplib.files import atomic_write, atomic_write_text, remove_leftovers
from looplib.progress import progress
from sim.clock import epoch_ms
from sim.collect.segments import SegmentPlan, make_segment, segment_name
from sim.errors import CollectionError
from sim.listening.sessions import ListeningModel, make_model
from sim.recommenders import make_recommender
from sim.workers import run_jobs
from sim.worlds.files import World, load_world

COLLECTION_FILE = "collection.json"
CONFIG_FILE = "collect.yaml"
SCHEMA = 1


class CollectConfig(Config):
    """What to collect, from which world, and where to."""

    world: Path
    log: Path
    episodes: int = Field(ge=1, description="sessions")
    recommender: str = "random"
    seed: int = Field(default=0, ge=0)
    processes: int = Field(default=1, ge=1, le=512, description="the log is the same for any number")
    start: date = Field(default=date(2026, 1, 1), description="first day of the simulated clock")
    segment_sessions: int = Field(default=20_000, ge=1, description="sessions a segment; simulated side by side")


@dataclass(frozen=True)
class Collected:
    """What a run did."""

    segments: int
    found: int  # of the segments, those that an earlier run had finished
    seconds: float


def collect(config: CollectConfig) -> Collected:
    """Collects a log, or what is missing of one that an earlier run began with the same parameters.

    Raises:
        CollectionError: The folder holds something else, is in use by another collection, or cannot be written.
        SimError: The recommender is unknown, or a worker died.
        WorldError: The world cannot be used.
    """
    begun = time.monotonic()
    world = load_world(config.world)
    make_recommender(config.recommender, world)
    plan = SegmentPlan(
        episodes=config.episodes,
        segment_sessions=config.segment_sessions,
        seed=config.seed,
        recommender=config.recommender,
        start_ms=epoch_ms(config.start),
    )
    with _locked(config.log):
        _begin(config, world)
        missing = [number for number in range(plan.segments) if not (config.log / segment_name(number)).exists()]
        if missing:
            _write_segments(plan, missing, world, config)
    return Collected(plan.segments, plan.segments - len(missing), time.monotonic() - begun)


def collection_facts(config: CollectConfig, world: World) -> dict[str, object]:
    """What `collection.json` says: everything that the segments' bytes follow from."""
    return {
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


def write_segment(model: ListeningModel, plan: SegmentPlan, folder: Path, segment: int) -> int:
    """Writes a segment, whole or not at all, and returns how many sessions it holds.

    Raises:
        CollectionError: It cannot be written.
    """
    path = folder / segment_name(segment)
    content = make_segment(model, plan, segment)
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise CollectionError(f"{path}: cannot be written ({error.strerror})") from None
    return len(plan.sessions_in(segment))


def _write_segments(plan: SegmentPlan, missing: list[int], world: World, config: CollectConfig) -> None:
    job = partial(write_segment, make_model(world), plan, config.log)
    total = sum(len(plan.sessions_in(segment)) for segment in missing)
    begun, done = time.monotonic(), 0
    try:
        with progress("collecting", total, "sessions") as report:
            for sessions in run_jobs(job, missing, min(config.processes, len(missing))):
                done += sessions
                report(done, f"{done / (time.monotonic() - begun):,.0f} sessions/s")
    finally:
        remove_leftovers(config.log)


def _begin(config: CollectConfig, world: World) -> None:
    """Makes sure that the folder is this collection's, and writes what it is collected from before any segment."""
    path = config.log / COLLECTION_FILE
    facts = collection_facts(config, world)
    remove_leftovers(config.log)
    if path.exists():
        _check_same_collection(path, facts)
    elif any(config.log.iterdir()):
        raise CollectionError(f"{config.log}: holds files but no {COLLECTION_FILE}; name an empty or a new folder")
    else:
        atomic_write_text(config.log / CONFIG_FILE, dump_config(config))
        atomic_write_text(path, orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def _check_same_collection(path: Path, facts: dict[str, object]) -> None:
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CollectionError(f"{path}: not JSON ({error})") from None
    found = found if isinstance(found, dict) else {}
    other = [f"{key} {found.get(key)} there, {value} now" for key, value in facts.items() if found.get(key) != value]
    if other:
        raise CollectionError(f"{path}: another collection is in this folder: {'; '.join(other)}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other collections out of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CollectionError(f"{folder}: a folder is expected, found a file") from None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CollectionError(f"{folder}: another collection is writing here") from None
    else:
        yield
    finally:
        os.close(handle)
