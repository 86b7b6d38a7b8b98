"""Driving a service that drops answers, fails, hangs, talks nonsense or is not there.

Every event is kept once by its number.
"""

import pytest

from sim.errors import SimError
from sim.worlds.files import World
from tests.programs import free_port
from tests.sim.remote.fake_service import (
    CLOSE_AFTER,
    CLOSE_BEFORE,
    HANG,
    SHORT,
    TEXT,
    UNKNOWN_TRACK,
    WRONG_USER,
    FakeService,
    fake_service,
)
from tests.sim.remote.test_run import TRACKS, play

FEW = 60


def assert_nothing_heard_twice(service: FakeService) -> None:
    """A listener hears a track once in a session unless not at all."""
    for user, events in [*service.sessions, *service.open.items()]:
        heard = [track for track, time_ in events if time_ > 0]
        assert len(set(heard)) == len(heard), (user, events)
        assert events[0][1] == 1.0, (user, events)


@pytest.mark.parametrize(
    ("what", "batch"),
    [
        (CLOSE_AFTER, 1),
        (CLOSE_AFTER, 40),
        (CLOSE_BEFORE, 1),
        ("429", 40),
    ],
)
def test_a_request_without_an_answer_is_sent_again_under_its_number(
    demo_world: World, what: str, batch: int
) -> None:
    mishaps = dict.fromkeys(range(0, 9999, 7), what)
    with fake_service(TRACKS, mishap=mishaps.get) as service:
        totals = play(demo_world, service.url, batch=batch, concurrency=4, episodes=FEW)
    assert totals["retries"]
    assert totals["sessions"] == len(service.sessions) == FEW
    assert totals["tracks"] == sum(len(events) for _, events in service.sessions)
    assert (service.repeats > 0) == (what == CLOSE_AFTER)
    assert not service.open
    assert_nothing_heard_twice(service)


def test_an_answer_that_does_not_come_is_asked_for_again(
    demo_world: World,
) -> None:
    with fake_service(TRACKS, mishap={5: HANG}.get) as service:
        totals = play(
            demo_world, service.url, batch=1, concurrency=1, timeout_s=1, episodes=20
        )
    assert totals["retries"] >= 1
    assert totals["sessions"] == len(service.sessions) == 20


@pytest.mark.parametrize(
    ("what", "batch", "message"),
    [
        (TEXT, 1, "the answer has no track of this world"),
        (UNKNOWN_TRACK, 1, "the answer has no track of this world"),
        (WRONG_USER, 40, "the answer has no track of this world"),
        (SHORT, 40, "the answer has no track of this world"),
        ("500", 1, "with 500.*running"),
        (CLOSE_AFTER, 1, "no answer"),
        ("400", 1, "with 400"),
    ],
)
def test_a_service_without_good_answers_ends_the_run(
    demo_world: World, what: str, batch: int, message: str
) -> None:
    with (
        fake_service(TRACKS, mishap=lambda n: what if n >= 13 else None) as service,
        pytest.raises(SimError, match=message),
    ):
        play(demo_world, service.url, batch=batch, patience_s=0.2, episodes=9000)
    assert service.requests < 13 + 90
    assert_nothing_heard_twice(service)


def test_a_service_that_is_not_there_ends_the_run(demo_world: World) -> None:
    url = FakeService(TRACKS, port=free_port()).url
    with pytest.raises(SimError, match="is the service running"):
        play(demo_world, url, concurrency=3, patience_s=0.2)
