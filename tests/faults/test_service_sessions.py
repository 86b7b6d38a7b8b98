"""Requests of one listener at once, and a Redis that goes away."""

import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.botify.redis_server import RedisServer
from tests.faults.served import (
    Load,
    Published,
    assert_all_logged,
    clients,
    serve,
    wait_until,
)


@pytest.mark.parametrize("where", ["threads of a process", "processes"])
def test_requests_of_one_listener_at_once_get_different_tracks(
    published: Published, tmp_path: Path, redis_url: str, where: str
) -> None:
    """Four clients per listener; the session outgrows the list, so that fallbacks are in it too."""
    settings: dict[str, Any] = (
        {"threads": 4}
        if where != "processes"
        else {"processes": 2, "redis_url": redis_url}
    )
    users = [[user] for user in (1990, 1991) for _ in range(4)]
    with (
        serve(published, tmp_path / "log", **settings) as served,
        Load(served.port, users) as load,
    ):
        load.wait_for(400)
    assert set(load.statuses) == {200}
    recommended = defaultdict(list)
    for answer in load.answers:
        recommended[answer.user].append(answer.recommendation)
    for user, tracks in recommended.items():
        assert len(tracks) > 50
        repeated = [
            track
            for track, times in itertools.groupby(sorted(tracks))
            if len(list(times)) > 1
        ]
        assert repeated == [], f"listener {user}"
    assert_all_logged(load, tmp_path / "log")


def test_without_redis_answers_go_on_and_with_it_they_remember_again(
    published: Published, tmp_path: Path, own_redis: RedisServer
) -> None:
    with (
        serve(
            published, tmp_path / "log", processes=2, redis_url=own_redis.url
        ) as served,
        Load(served.port, clients(4)) as load,
    ):
        load.wait_for(100)
        assert served.ask("GET", "/health/ready")[0] == 200
        own_redis.stop()
        load.wait_for(300)
        status, answer = served.ask("GET", "/health/ready")
        assert (status, answer["problems"]) == (
            503,
            ["the session store cannot be reached"],
        )
        assert served.ask("GET", "/health/live")[0] == 200
        assert without_memory(served.ask("GET", "/metrics")[1]) > 0
        own_redis.start()
        wait_until(
            lambda: served.ask("GET", "/health/ready")[0] == 200,
            "the service to find Redis again",
        )
        load.wait_for(300)
        wait_until(lambda: remembers(served.port), "sessions to be remembered again")
    assert set(load.statuses) == {200}
    assert load.broken == []
    assert_all_logged(load, tmp_path / "log")


def without_memory(metrics: str) -> float:
    """Requests that were answered without a session."""
    lines = [
        line
        for line in metrics.splitlines()
        if line.startswith("botify_requests_without_session_store_total")
    ]
    return sum(float(line.split()[-1]) for line in lines)


def remembers(port: int) -> bool:
    with Load(port, [[1995]]) as load:
        load.wait_for(20)
    recommended = [answer.recommendation for answer in load.answers[:20]]
    return len(set(recommended)) == len(recommended)
