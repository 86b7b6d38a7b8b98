"""Requests that are sent again: in one process, over Redis, and after the death of the process that answered."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from botify.service import Service
from botify.sessions import answers
from botify.sessions.answers import RedisAnswers
from tests.botify.client import client_of, events, post
from tests.botify.conftest import MakeService, start_service
from tests.botify.redis_server import RedisServer

Make = Callable[[], Service]


@pytest.fixture(params=["one process", "Redis"])
def make(
    request: pytest.FixtureRequest,
    make_service: MakeService,
    redis_url: str,
    tmp_path: Path,
) -> Make:
    """Makes services one after another over one log, and one Redis if any."""
    settings: dict[str, Any] = (
        {"redis_url": redis_url} if request.param == "Redis" else {}
    )
    first = make_service(tracks=300, **settings)
    made = iter([first])

    def make_next() -> Service:
        return next(made, None) or start_service(
            tmp_path, tmp_path / "tracks.json", **settings
        )

    return make_next


@pytest.fixture
def user() -> int:
    """A listener of no other test: they share a Redis."""
    return int.from_bytes(os.urandom(6), "big")


def test_a_request_sent_again_gets_the_same_answer_and_one_event(
    make: Make, user: int
) -> None:
    service = make()
    client = client_of(service)
    first = post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7})
    assert (
        post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7}) == first
    )
    assert (
        post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 8})["track"]
        != first["track"]
    )
    # of another listener
    post(client, f"/next/{user + 1}", {"track": 1, "time": 0.5, "request": 7})
    for _ in range(2):
        assert post(client, f"/last/{user}", {"track": 2, "time": 1, "request": 7}) == {
            "user": user
        }
    logged = [
        (event["message"], event["user"] - user, event["request"])
        for event in events(service)
    ]
    assert logged == [("next", 0, 7), ("next", 0, 8), ("next", 1, 7), ("last", 0, 7)]


def test_of_a_batch_only_what_is_new_is_answered_anew(make: Make, user: int) -> None:
    service = make()
    client = client_of(service)
    requests = [
        {"user": user + i // 2, "track": 1, "time": 0.5, "request": i} for i in range(4)
    ]
    requests.append({"user": user, "track": 1, "time": 0.5})
    first = post(client, "/next", {"requests": requests[:2]})["responses"]
    both = post(client, "/next", {"requests": requests})["responses"]
    assert both[:2] == first
    assert len({answer["track"] for answer in both if answer["user"] == user}) == 3
    assert [event.get("request") for event in events(service)] == [0, 1, 2, 3, None]


def test_one_number_twice_in_a_batch_is_refused(make: Make, user: int) -> None:
    requests = [{"user": user, "track": 1, "time": 0.5, "request": 7}] * 2
    refusal = post(client_of(make()), "/next", {"requests": requests}, 400)
    assert refusal["error"] == "two requests of a listener have one number"


def test_a_request_sent_many_times_at_once_is_answered_once(
    make: Make, user: int
) -> None:
    service = make()
    # here: threads of Python 3.11 cannot all compile routes at once
    clients = [client_of(service) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda client: post(
                client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7}
            ),
            clients,
        )
        assert len({answer["track"] for answer in found}) == 1
    assert len(events(service)) == 1


def test_a_request_that_failed_is_answered_when_it_is_sent_again(
    make: Make, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make()
    client = client_of(service)

    def full(_: bytes) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(service.log, "append", full)
        post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7}, 503)
    post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7})
    assert len(events(service)) == 1


def test_the_log_answers_for_a_process_that_died_before_its_answer(
    make: Make, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PENDING_S", 0.05)
    service = make()
    client = client_of(service)
    monkeypatch.setattr(
        service.answers, "keep", lambda *_: None
    )  # its last act was to log
    first = post(client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7})
    after = make()
    assert (
        post(client_of(after), f"/next/{user}", {"track": 1, "time": 0.5, "request": 7})
        == first
    )
    service.close()
    assert len(events(after)) == 1


def test_the_claim_of_a_process_that_died_before_it_logged_is_taken_over_once(
    redis_url: str,
    make_service: MakeService,
    user: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "PENDING_S", 0.05)
    service = make_service(redis_url=redis_url)
    dead = RedisAnswers(service.store.call, "botify:", service.answers._read_log, 60)  # type: ignore[arg-type,union-attr]  # it has Redis
    assert dead.claim([("next", user, 7)]) == [None]
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                post(
                    client_of(service),
                    f"/next/{user}",
                    {"track": 1, "time": 0.5, "request": 7},
                )
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["track"] for answer in found}) == 1
    assert len(found) == 4
    assert len(events(service)) == 1


def test_without_redis_a_numbered_request_is_refused_and_others_are_not(
    own_redis: RedisServer, make_service: MakeService, user: int
) -> None:
    client = client_of(make_service(redis_url=own_redis.url))
    own_redis.stop()
    refusal = post(
        client, f"/next/{user}", {"track": 1, "time": 0.5, "request": 7}, 503
    )
    assert "unknown whether this was answered before" in refusal["error"]
    post(client, f"/next/{user}", {"track": 1, "time": 0.5})


@pytest.mark.parametrize(
    "number", [b"-1", b"1.5", b'"7"', b"null", b"9223372036854775808"]
)
def test_a_number_is_an_id(make_service: MakeService, number: bytes) -> None:
    client = client_of(make_service())
    answer = client.post(
        "/next/4", data=b'{"track": 1, "time": 1, "request": %b}' % number
    )
    assert answer.status_code == 400
    assert "$.request" in answer.get_json()["error"]


def test_a_segment_that_is_closed_while_the_log_is_read_is_read(
    make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {
        "message": "next",
        "timestamp": 5000,
        "user": 4,
        "track": 1,
        "recommendation": 3,
        "request": 7,
    }
    growing, stat = tmp_path / ".events-a.jsonl", Path.stat
    growing.write_bytes(orjson.dumps(line) + b"\n")

    def close(path: Path, **options: Any) -> os.stat_result:  # noqa: ANN401  those of `stat`
        if path == growing:
            growing.rename(tmp_path / "events-a-crc00000000.jsonl")
        return stat(path, **options)

    catalogue = make_service().bodies.catalogue
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", close)
        assert list(answers.logged_answers(tmp_path, catalogue, 0)) == [
            (("next", 4, 7), 3, 5.0)
        ]
