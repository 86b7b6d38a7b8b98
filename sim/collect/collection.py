"""Collects an event log: a folder of segments, and beside them what they were collected from."""

import time
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import orjson
from pydantic import Field

from looplib.config import Config, Count, dump_config
from looplib.files import atomic_write, atomic_write_text, remove_leftovers
from looplib.locks import exclusive
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
    episodes: Count = Field(description="sessions")
    recommender: str = "random"
    seed: int = Field(default=0, ge=0)
    processes: int = Field(default=1, ge=1, le=512, description="the log is the same for any number")
    start: date = Field(default=date(2026, 1, 1), description="first day of the simulated clock")
    segment_sessions: Count = Field(default=20_000, description="sessions a segment; simulated side by side")


@dataclass(frozen=True)
class Collected:
    """What a run did."""

    segments: int
    found: int  # of the segments, those that an earlier run had finished
    seconds: float


def collect(config: CollectConfig) -> Collected:
    """Collect a log, or what is missing of one that an earlier run began with the same parameters.

    Raises:
        CollectionError: The folder holds something else, is in use by another collection, or cannot be written.
        SimError: The recommender is unknown, or a worker died.
        WorldError: The world cannot be used.
    """
    begun = time.monotonic()
    world = load_world(config.world)
    make_recommender(config.recommender, world)  # an unknown one is refused before anything is written
    plan = SegmentPlan(
        config.episodes, config.segment_sessions, config.seed, config.recommender, start_ms=epoch_ms(config.start)
    )
    try:
        config.log.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CollectionError(f"{config.log}: a folder is expected, found a file") from None
    with exclusive(config.log, CollectionError(f"{config.log}: another collection is writing here")):
        _prepare_folder(config, collection_facts(config, world))
        missing = [number for number in range(plan.segments) if not (config.log / segment_name(number)).exists()]
        if missing:
            _write_segments(plan, missing, world, config)
    return Collected(plan.segments, plan.segments - len(missing), time.monotonic() - begun)


def collection_facts(config: CollectConfig, world: World) -> dict[str, object]:
    """Return the content of `collection.json`: everything that the segments' bytes follow from."""
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
    """Write a segment, whole or not at all, and return how many sessions it holds.

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


def _prepare_folder(config: CollectConfig, facts: dict[str, object]) -> None:
    """Check that the folder is this collection's, and write what it is collected from before any segment."""
    path = config.log / COLLECTION_FILE
    remove_leftovers(config.log)
    if not path.exists():
        if any(config.log.iterdir()):
            raise CollectionError(f"{config.log}: holds files but no {COLLECTION_FILE}; name an empty or a new folder")
        atomic_write_text(config.log / CONFIG_FILE, dump_config(config))
        atomic_write_text(path, orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
        return
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CollectionError(f"{path}: not JSON ({error})") from None
    found = found if isinstance(found, dict) else {}
    other = [f"{key} {found.get(key)} there, {value} now" for key, value in facts.items() if found.get(key) != value]
    if other:
        raise CollectionError(f"{path}: another collection is in this folder: {'; '.join(other)}")
