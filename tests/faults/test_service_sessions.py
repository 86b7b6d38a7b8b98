"""A Redis that goes away and comes back under load."""

from pathlib import Path

from tests.botify.redis_server import RedisServer
from tests.faults.served import (
    Load,
    Published,
    Served,
    assert_all_logged,
    clients,
    serve,
)
from tests.waiting import wait_until


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
        wait_until(lambda: remembers(served), "sessions to be remembered again")
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


def remembers(served: Served) -> bool:
    """Return whether a listener who hears every recommended track gets no track again."""
    track = 0
    heard = {track}
    for _ in range(20):
        status, answer = served.ask("POST", "/next/1995", {"track": track, "time": 0.5})
        assert status == 200
        track = answer["track"]
        heard.add(track)
    served.ask("POST", "/last/1995", {"track": track, "time": 0.5})
    return len(heard) == 21
