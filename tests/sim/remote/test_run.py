"""Driving a service that behaves: its events and requests."""

import asyncio
import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pytest

from sim.config import SimulateConfig
from sim.remote.run import SessionQueue, Totals, play_sessions
from sim.worlds.files import World, load_world
from tests.sim.remote.fake_service import fake_service
from tests.sim.small_world import write_endless_world

TRACKS, EPISODES, SEED = 5000, 150, 11
# The digest of all sessions that the listening model gives under the fake service's rule.
SESSIONS = "78a7a71bff0fc01e99bc2ba3a25b5c585cceda4896ac57a84380fda17139ae7b"


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


@pytest.mark.parametrize(("pools", "batch"), [(40, 1), (2, 50)])
def test_what_listeners_do_follows_from_the_seed_and_the_session_alone(
    demo_world: World, pools: int, batch: int
) -> None:
    with fake_service(TRACKS) as service:
        totals = play(demo_world, service.url, concurrency=pools, batch=batch)
    heard = orjson.dumps(sorted(service.sessions))
    assert hashlib.sha256(heard).hexdigest() == SESSIONS
    assert not service.open
    assert (totals["sessions"], totals["retries"]) == (EPISODES, 0)
    assert service.requests < totals["tracks"] / batch + 2 * EPISODES


def test_a_session_of_a_listener_who_is_never_bored_is_ended(tmp_path: Path) -> None:
    """At a thousand tracks, where the service ends it too."""
    world = load_world(write_endless_world(tmp_path / "w", 1500))
    with fake_service(1500) as service:
        totals = play(world, service.url, concurrency=1, episodes=1)
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
