"""How sessions start and how long they last; tests/spec has the shares heard."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from looplib.randomness import make_generator
from sim.listening.sessions import SessionBatch, start_sessions
from sim.remote.run import draw_session_starts
from sim.worlds.config import Nature
from sim.worlds.files import World, load_world
from tests.sim.small_world import write_world

SESSIONS = 20_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Twelve tracks on a circle; of listener 2's three interests, each has four near tracks."""
    return load_world(write_world(tmp_path / "world"))


def test_every_interest_and_every_neighbour_is_equally_likely(world: World) -> None:
    listeners = np.full(SESSIONS, 2)
    batch = start_sessions(world, listeners, make_generator(1, "test"))
    assert batch.length.tolist() == [1] * SESSIONS
    assert set(batch.hundredths[0].tolist()) == {100}
    assert set(batch.budget.tolist()) == {3}
    first = int(world.interest_offsets[2])
    for position, interest in enumerate([3, 4, 11], start=first):
        opened = batch.tracks[0, batch.interest == interest]
        expected = np.zeros(12)
        expected[world.nearest[position, :4]] = 1 / 12
        shares = np.bincount(opened, minlength=12) / SESSIONS
        assert shares == pytest.approx(expected, abs=5 * math.sqrt(0.08 / SESSIONS))


def test_sessions_come_back_to_the_first_interest_by_its_nearest_track(
    world: World,
) -> None:
    world = replace(world, nature=Nature(repeats=0.6))
    starts = draw_session_starts(world, 2, np.arange(3 * SESSIONS))
    listeners, interests, organic = (column[starts[0] == 2] for column in starts)
    assert len(listeners) / (3 * SESSIONS) == pytest.approx(1 / 3, abs=0.01)
    is_repeat = (interests == 3) & (organic == 3)
    expected = 0.6 + 0.4 / 12
    limit = 5 * math.sqrt(0.24 / len(organic))
    assert is_repeat.mean() == pytest.approx(expected, abs=limit)


def test_a_session_goes_on_for_as_long_as_the_listener_is_not_bored(
    world: World,
) -> None:
    """Past the room for tracks that there is at first, and its rows are used again."""
    batch, row = SessionBatch(world, 1), np.zeros(1, dtype=np.int64)
    for _ in range(2):
        batch.start(row, row, row, row)
        for number in range(40):
            batch.budget[:] = 5
            batch.hear(row, np.array([number % 12]), np.ones(1))
        assert batch.length.tolist() == [41]
        assert batch.tracks[:41, 0].tolist() == [0, *(n % 12 for n in range(40))]
        assert not batch.hundredths[13:, 0].any()
