"""The simulator drives the real service: both ways of talking, and the log that comes of it."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.remote.run import Totals
from sim.worlds.files import World, load_world
from tests.botify.exports import publish, random_lists
from tests.faults.served import Published, Served, read_events, serve
from tests.sim.remote.test_run import play
from tests.sim.small_world import write_world

TRACKS, LISTENERS, SESSIONS = 400, 60, 250


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A world, and lists of its tracks for its listeners."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(3)
    write_world(
        folder / "world",
        tracks=[
            {"track": i, "artist": f"artist {i // 8}", "title": f"title {i}"}
            for i in range(TRACKS)
        ],
        embeddings=rng.normal(0, 0.8, size=(TRACKS, 8)),
        users=[
            {"user": i, "interests": rng.integers(TRACKS, size=3).tolist()}
            for i in range(LISTENERS)
        ],
    )
    (folder / "tracks.json").write_bytes(
        (folder / "world" / "tracks.json").read_bytes()
    )
    publish(
        folder, "one", random_lists(LISTENERS, TRACKS), catalogue=folder / "tracks.json"
    )
    return Published(folder)


@pytest.fixture(scope="module")
def world(published: Published) -> World:
    return load_world(published.folder / "world")


def _play(world: World, served: Served, concurrency: int, batch: int) -> Totals:
    url = f"http://127.0.0.1:{served.port}"
    return play(world, url, episodes=SESSIONS, concurrency=concurrency, batch=batch)


def _sessions(log: Path) -> dict[str, list[Any]]:
    sessions = defaultdict(list)
    for event in read_events(log):
        sessions[str(event.session)].append(event)
    return dict(sessions)


@pytest.mark.parametrize(("concurrency", "batch"), [(1, 1), (3, 15)])
@pytest.mark.slow
def test_the_services_log_holds_the_sessions_that_were_played_and_ingests_without_a_reject(
    published: Published,
    world: World,
    tmp_path: Path,
    concurrency: int,
    batch: int,
) -> None:
    """Without concurrency and batches it is the original client's way: one request at a time."""
    with serve(published, tmp_path / "log") as served:
        totals = _play(world, served, concurrency=concurrency, batch=batch)
        assert served.stop() == 0
    assert totals["retries"] == 0
    sessions = _sessions(tmp_path / "log")
    assert len(sessions) == totals["sessions"] == SESSIONS
    tracks = hundredths = 0
    for events in sessions.values():
        assert [event.message for event in events] == ["next"] * (len(events) - 1) + [
            "last"
        ]
        assert [event.recommendation for event in events[:-1]] == [
            event.track for event in events[1:]
        ]
        assert events[0].time == 1.0
        assert len({event.user for event in events}) == 1
        tracks += len(events)
        hundredths += round(sum(100 * event.time for event in events))
    assert (tracks, hundredths) == (totals["tracks"], totals["hundredths"])
