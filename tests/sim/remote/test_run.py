"""Driving a service that behaves: what it is told, and by which requests."""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from sim.config import SimulateConfig
from sim.listening.sessions import SessionBatch
from sim.remote.run import (
    SessionQueue,
    Totals,
    draw_boredom,
    draw_session_starts,
    play_sessions,
)
from sim.worlds.files import World, load_world
from tests.sim.remote.fake_service import fake_service
from tests.sim.small_world import write_world

TRACKS, EPISODES, SEED = 5000, 150, 11


def play(
    world: World,
    url: str,
    *,
    concurrency: int = 8,
    timeout_s: float = 60,
    patience_s: float = 60,
    **changes: Any,  # noqa: ANN401  any of SimulateConfig's fields
) -> Totals:
    """Plays sessions in this process."""
    values = {"seed": SEED, "episodes": EPISODES, **changes}
    config = SimulateConfig.model_validate({"url": url, **values})
    with (
        mock.patch("sim.remote.run.CONCURRENCY", concurrency),
        mock.patch.multiple(
            "sim.remote.client", TIMEOUT_S=timeout_s, PATIENCE_S=patience_s
        ),
    ):
        return asyncio.run(play_sessions(world, config))


@pytest.fixture(scope="module")
def expected(demo_world: World) -> Counter[Any]:
    """The sessions by the listening model alone, under the fake service's rule."""
    batch, row = SessionBatch(demo_world, 1), np.zeros(1, dtype=np.int64)
    sessions: Counter[Any] = Counter()
    for number in (np.array([number]) for number in range(EPISODES)):
        starts = draw_session_starts(demo_world, SEED, number)
        batch.start(row, *starts)
        while len(batch.under_way()):
            last, _ = batch.last(row)
            track = (7 * last + 13 * starts[0] + batch.length) % TRACKS
            batch.hear(row, track, draw_boredom(SEED, number, batch.length))
        length = int(batch.length[0])
        times = (batch.hundredths[:length, 0] / 100).tolist()
        events = tuple(zip(batch.tracks[:length, 0].tolist(), times, strict=True))
        sessions[int(starts[0][0]), events] += 1
    return sessions


@pytest.mark.parametrize(("pools", "batch"), [(40, 1), (2, 50)])
def test_what_listeners_do_follows_from_the_seed_and_the_session_alone(
    demo_world: World, expected: Counter[Any], pools: int, batch: int
) -> None:
    with fake_service(TRACKS) as service:
        totals = play(demo_world, service.url, concurrency=pools, batch=batch)
    assert Counter(service.sessions) == expected
    assert not service.open
    assert (totals["sessions"], totals["retries"]) == (EPISODES, 0)


def test_batches_hold_different_listeners_of_the_size_asked_for(
    demo_world: World,
) -> None:
    with fake_service(TRACKS) as service:
        play(demo_world, service.url, concurrency=1, batch=100)
    events = sum(len(events) for _, events in service.sessions)
    assert set(service.paths) == {"/next", "/last"}
    assert service.paths["/next"] < events / 30


def test_a_session_of_a_listener_who_is_never_bored_is_ended(tmp_path: Path) -> None:
    """At a thousand tracks, where the service ends it too."""
    never_bored = {"consume_bias": -100.0, "session_budget": 2000}
    folder = write_world(
        tmp_path / "w",
        tracks=[{"track": i, "artist": i} for i in range(1500)],
        embeddings=np.ones((1500, 2)),
        users=[{"user": 0, "interests": [0], **never_bored}],
    )
    with fake_service(1500) as service:
        totals = play(load_world(folder), service.url, concurrency=1, episodes=1)
    assert [len(events) for _, events in service.sessions] == [1000]
    assert totals["tracks"] == 1000


def test_the_queue_keeps_a_listeners_sessions_in_their_order_one_at_a_time() -> None:
    listeners = np.random.default_rng(1).integers(3, size=3000)
    queue = SessionQueue(listeners)
    taken: list[int] = []
    while len(numbers := queue.take(2)):
        assert len(set(listeners[numbers].tolist())) == len(numbers)
        taken += numbers.tolist()
        queue.free(listeners[numbers].tolist())
    assert sorted(taken) == list(range(3000))
    for listener in range(3):
        ordered = [number for number in taken if listeners[number] == listener]
        assert all(earlier < later for earlier, later in pairwise(ordered))
