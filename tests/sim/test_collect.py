"""The event log of a collection, whose bytes follow from the parameters alone."""

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from looplib.files import sha256_file
from sim.collect import CollectConfig, collect
from sim.errors import SimError
from sim.worlds.files import load_world
from tests.sim.small_world import write_world

FIELDS = [
    "message",
    "timestamp",
    "user",
    "track",
    "time",
    "latency",
    "recommendation",
    "experiments",
    "session",
    "recommender",
    "propensity",
]
HALF_AN_HOUR_MS = 30 * 60 * 1000

Event = dict[str, Any]


def _config(world: Path, log: Path, **changes: object) -> CollectConfig:
    values: dict[str, object] = {
        "world": world,
        "log": log,
        "episodes": 2500,
        "seed": 7,
        "segment_sessions": 1000,
    }
    return CollectConfig.model_validate({**values, **changes})


def _contents(log: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(log.iterdir())
        if path.suffix == ".jsonl"
    }


def _events(log: Path) -> Iterator[Event]:
    for content in _contents(log).values():
        yield from (orjson.loads(line) for line in content.splitlines())


@pytest.fixture(scope="module")
def log(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected") / "log"
    collect(_config(demo_world, folder))
    return folder


@pytest.fixture(scope="module")
def sessions(log: Path) -> dict[str, list[Event]]:
    found = defaultdict(list)
    for event in _events(log):
        found[event["session"]].append(event)
    return dict(found)


def test_every_line_has_the_fields_of_the_event_log_in_their_types(
    log: Path, demo_world: Path
) -> None:
    world = load_world(demo_world)
    for event in _events(log):
        assert list(event) == FIELDS
        assert event["message"] in {"next", "last"}
        assert type(event["timestamp"]) is int
        assert event["user"] in range(world.listeners)
        assert event["track"] in range(world.tracks)
        assert type(event["time"]) is float
        assert 0 <= event["time"] <= 1
        assert round(event["time"], 2) == event["time"]
        assert (event["latency"], event["experiments"]) == (0.0, {})


def test_there_are_as_many_sessions_as_asked_for(
    sessions: dict[str, list[Event]], log: Path
) -> None:
    assert len(sessions) == 2500
    assert sorted(_contents(log)) == [
        "events-00000.jsonl",
        "events-00001.jsonl",
        "events-00002.jsonl",
    ]
    assert set(sessions) == {f"random-7-{number}" for number in range(2500)}


def test_a_session_is_one_listeners_and_ends_with_its_only_last_message(
    sessions: dict[str, list[Event]],
) -> None:
    for events in sessions.values():
        assert len({event["user"] for event in events}) == 1
        assert [event["message"] for event in events] == ["next"] * (
            len(events) - 1
        ) + ["last"]
        assert [
            events[-1][key] for key in ("recommendation", "recommender", "propensity")
        ] == [None] * 3
        assert (
            len(events) >= 1 + 5
        )  # the organic track, and one for each point of the budget


def test_what_is_recommended_is_played_next(sessions: dict[str, list[Event]]) -> None:
    for events in sessions.values():
        for event, following in pairwise(events):
            assert event["recommendation"] == following["track"]
            assert (event["recommender"], event["propensity"]) == ("random", 1 / 5000)


def test_random_recommendations_come_from_the_whole_catalogue_alike(
    sessions: dict[str, list[Event]],
) -> None:
    tracks = np.array(
        [event["track"] for events in sessions.values() for event in events[1:]]
    )
    expected = len(tracks) / 50
    counts = np.bincount(tracks // 100, minlength=50)
    assert len(counts) == 50
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 49 + 5 * np.sqrt(2 * 49)


def test_a_listeners_events_follow_each_other_and_sessions_are_half_an_hour_apart(
    log: Path,
) -> None:
    by_user = defaultdict(list)
    for event in _events(log):
        by_user[event["user"]].append(event)
    for events in by_user.values():
        for earlier, later in pairwise(events):
            silence = later["timestamp"] - earlier["timestamp"]
            if earlier["session"] == later["session"]:
                assert 0 < silence < HALF_AN_HOUR_MS
            else:
                assert earlier["message"] == "last"
                assert silence > HALF_AN_HOUR_MS


def test_the_folder_says_what_it_was_collected_from(
    log: Path, demo_world: Path
) -> None:
    facts = orjson.loads((log / "collection.json").read_bytes())
    assert facts["schema"] == 1
    assert facts["catalogue"] == {
        "sha256": sha256_file(demo_world / "tracks.json"),
        "tracks": 5000,
    }
    expected = {"users": 1500, "seed": 7, "episodes": 2500, "recommender": "random"}
    assert {key: facts[key] for key in expected} == expected


def test_another_seed_gives_other_sessions(
    log: Path, demo_world: Path, tmp_path: Path
) -> None:
    collect(_config(demo_world, tmp_path / "log", seed=8))
    contents = _contents(tmp_path / "log")
    assert all(content != contents[name] for name, content in _contents(log).items())


def test_a_shorter_collection_has_the_same_whole_segments(
    log: Path, demo_world: Path, tmp_path: Path
) -> None:
    collect(_config(demo_world, tmp_path / "log", episodes=1000))
    assert _contents(tmp_path / "log") == {
        "events-00000.jsonl": _contents(log)["events-00000.jsonl"]
    }


def test_a_rerun_keeps_what_is_there_and_writes_what_is_missing(
    log: Path, demo_world: Path, tmp_path: Path
) -> None:
    config = _config(demo_world, tmp_path / "log")
    collect(config)
    (config.log / "events-00001.jsonl").unlink()
    (config.log / ".tmp-torn.jsonl").write_bytes(b"half a li")
    kept = config.log / "events-00000.jsonl"
    before = kept.stat().st_mtime_ns
    collect(config)
    assert kept.stat().st_mtime_ns == before
    assert _contents(config.log) == _contents(log)
    assert not list(config.log.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "seed 7 there, 8 now"),
        ({"episodes": 2501}, "episodes 2500 there, 2501 now"),
        ({"segment_sessions": 999}, "segment_sessions 1000 there, 999 now"),
    ],
)
def test_a_rerun_with_other_parameters_is_refused(
    log: Path, demo_world: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(SimError, match=message):
        collect(_config(demo_world, log, **change))


def test_a_rerun_from_another_world_is_refused(log: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SimError,
        match=r"collection\.json: another collection is in this folder: catalogue",
    ):
        collect(_config(write_world(tmp_path / "world"), log))


def test_a_folder_of_something_else_is_refused(
    demo_world: Path, tmp_path: Path
) -> None:
    (tmp_path / "events-00000.jsonl").write_text("{}\n")
    with pytest.raises(SimError, match=r"holds files but no collection\.json"):
        collect(_config(demo_world, tmp_path))


def test_a_folder_in_which_another_collection_writes_is_refused(
    demo_world: Path, tmp_path: Path
) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(SimError, match="another collection is writing here"):
            collect(_config(demo_world, tmp_path))
    finally:
        os.close(handle)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_a_file_is_refused(demo_world: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with pytest.raises(FileExistsError, match="log"):
        collect(_config(demo_world, tmp_path / "log"))


def test_a_world_in_the_originals_files_can_be_collected_from(tmp_path: Path) -> None:
    config = _config(write_world(tmp_path / "world"), tmp_path / "log", episodes=300)
    collect(config)
    assert {event["propensity"] for event in _events(config.log)} == {1 / 12, None}
    assert {event["user"] for event in _events(config.log)} == {0, 1, 2}


def test_a_world_where_nobody_is_bored_is_refused(tmp_path: Path) -> None:
    """Two thousand tracks of as many artists, all heard to the end."""
    folder = write_world(
        tmp_path / "world",
        tracks=[{"track": i, "artist": i} for i in range(2000)],
        embeddings=np.ones((2000, 2)),
        users=[
            {
                "user": 0,
                "interests": [0],
                "consume_bias": -100.0,
                "session_budget": 1000,
            }
        ],
    )
    config = _config(folder, tmp_path / "log", episodes=2, segment_sessions=1)
    with pytest.raises(
        SimError, match="listener 0 is not bored after 1000 tracks in one session"
    ):
        collect(config)
    assert _contents(config.log) == {}
