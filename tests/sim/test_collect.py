"""The event log of a collection, whose bytes follow from the parameters alone."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest

from looplib.config import load_config
from looplib.event_fields import EVENT_FIELDS
from looplib.files import sha256_file
from sim.collect import collect
from sim.config import SimulateConfig
from sim.errors import SimError
from sim.world import make_world
from sim.worlds.config import WorldConfig
from tests.botify.client import read_lines
from tests.sim.small_world import write_endless_world
from tests.sim.test_world import SMALL

LOGS = {
    "demo": "c51f546239b8c783e7e22dc128c1ede74fece7a767167f138f6af34ef9e7a12e",
    "course": "c6592fa3408c627c0e2928209bd1468820a6f963bbca54ace11473feeec22678",
}
Event = dict[str, Any]


def _config(world: Path, log: Path, **changes: object) -> SimulateConfig:
    values: dict[str, object] = {"episodes": 2500, "seed": 7}
    return SimulateConfig.model_validate(
        {"world": world, "log": log, **values, **changes}
    )


def _contents(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(log.glob("*.jsonl"))}


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with mock.patch("sim.collect.SEGMENT_SESSIONS", 1000):
        yield


@pytest.fixture(scope="module")
def log(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected") / "log"
    collect(_config(demo_folder, folder))
    return folder


@pytest.fixture(scope="module")
def sessions(log: Path) -> dict[str, list[Event]]:
    by_session = defaultdict(list)
    for event in read_lines(*sorted(log.glob("*.jsonl"))):
        by_session[event["session"]].append(event)
    return dict(by_session)


@pytest.mark.parametrize("name", LOGS)
def test_a_world_keeps_its_logs_to_the_byte(tmp_path: Path, name: str) -> None:
    world, file = tmp_path / "world", Path(f"configs/world/{name}.yaml")
    make_world(load_config(WorldConfig, file, [*SMALL, "listeners=200"]), world)
    with mock.patch("sim.collect.SEGMENT_SESSIONS", 20_000):
        collect(_config(world, tmp_path / "log", episodes=2000))
    (content,) = _contents(tmp_path / "log").values()
    assert hashlib.sha256(content).hexdigest() == LOGS[name]


def test_a_session_is_one_listeners_and_plays_what_was_recommended(
    sessions: dict[str, list[Event]],
) -> None:
    names = [
        field.name
        for field in EVENT_FIELDS
        if not (field.from_client and field.optional)
    ]
    for events in sessions.values():
        assert all(list(event) == names for event in events)
        assert len({event["user"] for event in events}) == 1
        # the organic track, and one for each point of the budget
        assert len(events) >= 1 + 5
        *earlier, last = events
        assert {event["message"] for event in earlier} == {"next"}
        assert last["message"] == "last"
        for event, following in pairwise(events):
            assert event["recommendation"] == following["track"]
            assert (event["recommender"], event["propensity"]) == ("random", 1 / 5000)
        unset = ("recommendation", "recommender", "propensity")
        assert [last[key] for key in unset] == [None] * 3


def test_the_folder_says_what_it_was_collected_from(
    log: Path, demo_folder: Path
) -> None:
    facts = orjson.loads((log / "collection.json").read_bytes())
    sha256 = sha256_file(demo_folder / "tracks.json")
    assert facts["catalogue"] == {"sha256": sha256, "tracks": 5000}
    expected = {"users": 1500, "seed": 7, "episodes": 2500}
    assert {key: facts[key] for key in expected} == expected


def test_a_segment_follows_from_the_seed_and_its_number_alone(
    log: Path, demo_folder: Path, tmp_path: Path
) -> None:
    first, *_ = _contents(log).values()
    for seed in (7, 8):
        folder = tmp_path / str(seed)
        collect(_config(demo_folder, folder, episodes=1000, seed=seed))
        assert ([*_contents(folder).values()] == [first]) == (seed == 7)


def test_a_rerun_does_nothing_and_one_with_other_parameters_is_refused(
    log: Path, demo_folder: Path
) -> None:
    before = log.stat()
    collect(_config(demo_folder, log))
    assert log.stat() == before
    config = _config(demo_folder, log, seed=8, episodes=2501)
    message = "seed 7 there, 8 now; episodes 2500 there, 2501"
    with pytest.raises(SimError, match=message):
        collect(config)
    with pytest.raises(SimError, match=r"exists and holds no collection\.json"):
        collect(_config(demo_folder, log.parent))


def test_a_world_where_nobody_is_bored_is_refused(tmp_path: Path) -> None:
    world = write_endless_world(tmp_path / "world", 2000)
    config = _config(world, tmp_path / "log", episodes=2)
    message = "listener 0 is not bored after 1000 tracks in one session"
    with pytest.raises(SimError, match=message):
        collect(config)
    assert not config.log.exists()
