import errno
from typing import NoReturn

import orjson
import pytest
from flask.testing import FlaskClient

from botify.service import Service
from tests.botify.client import client_of, events, post
from tests.botify.conftest import MakeService

TOKEN = {"Authorization": "Bearer secret"}
HEARD = {"track": 1, "time": 1}


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/next/4", 400, "Input data was truncated"),
        ("POST", "/last/4", 400, "Input data was truncated"),
        ("POST", "/next/-4", 400, "user: "),
        ("POST", "/last/1e5", 400, "user: "),
        ("GET", "/track/7.0", 404, "track not found"),
        ("GET", "/track/300", 404, "track not found"),
        ("POST", "/next", 400, "Input data was truncated"),
        ("POST", "/last", 400, "Input data was truncated"),
        ("POST", "/assignments", 400, "Input data was truncated"),
        ("GET", "/recommend/7?n=0", 400, "query: "),
        ("GET", "/similar/4", 404, "version one has no similar tracks"),
        ("GET", "/next/4", 405, "/docs lists"),
        ("GET", "/nowhere", 404, "not found"),
    ],
)
def test_a_wrong_request_is_refused_with_a_message_counted_and_not_logged(
    client: FlaskClient,
    service: Service,
    method: str,
    path: str,
    status: int,
    message: str,
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert message in answer.get_json()["error"]
    assert answer.headers.get("Allow") == ("POST" if status == 405 else None)
    counted = f'botify_refused_requests_total{{status="{status}"}} 1.0'
    assert counted in client.get("/metrics").text
    assert events(service) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "127.0.0.1:5001"}, 200),
        ({"Host": "[::1]:5001"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "127.0.0.2"}, 200),
        ({"Host": "127.0.0.2.evil.example"}, 403),
        ({"Host": "music.example"}, 200),
        ({"Host": "evil.example:5001"}, 403),
    ],
    ids=str,
)
def test_a_page_of_another_site_neither_writes_nor_reads(
    make_service: MakeService, headers: dict[str, str], status: int
) -> None:
    service = make_service(hosts=["music.example"])
    client = client_of(service)
    body = orjson.dumps(HEARD)
    assert client.post("/next/4", data=body, headers=headers).status_code == status
    if "Host" in headers:
        assert client.get("/experiments", headers=headers).status_code == status
    assert len(events(service)) == (status == 200)


@pytest.mark.parametrize(
    ("address", "hosts", "status"),
    [
        ("127.0.0.2", [], 403),
        ("0.0.0.0", ["music.example"], 403),  # noqa: S104  nobody listens
        ("10.0.0.1", [], 200),
    ],
)
def test_names_are_checked_on_loopback_addresses_and_where_they_are_set(
    make_service: MakeService, address: str, hosts: list[str], status: int
) -> None:
    client = client_of(make_service(hosts=hosts))
    answer = client.get(
        "/",
        headers={"Host": "evil.example"},
        environ_overrides={"SERVER_NAME": address},
    )
    assert answer.status_code == status


def test_an_event_that_cannot_be_written_is_not_acknowledged(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(service.log, "append", full)
    batch = {"requests": [{"user": 1, **HEARD}]}
    for path, body in (("/next/4", HEARD), ("/last/4", HEARD), ("/next", batch)):
        answer = client.post(path, json=body)
        assert "No space left on device" in answer.text
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    monkeypatch.undo()
    post(client, "/next/4", HEARD)


def test_an_unexpected_error_is_500_without_its_details(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service, "answer", fail)
    assert "secret" not in post(client, "/next/4", HEARD, 500)["error"]


def test_readiness_names_each_problem(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"problems": [], "version": "one"}
    assert client.get("/").json == {"status": "alive", **facts}
    assert client.get("/health/ready").json == {"status": "ready", **facts}
    monkeypatch.setattr(service.sessions, "is_ready", lambda: False)
    service.log.failure = "no room"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.get_json()["problems"] == [
        "the session store cannot be reached",
        "events cannot be written (no room)",
    ]
    assert client.get("/health/live").status_code == 200


def test_metrics_count_events_and_latencies(client: FlaskClient) -> None:
    post(client, "/next/4", HEARD)
    post(client, "/next", {"requests": [{"user": user, **HEARD} for user in (4, 5)]})
    post(client, "/last/4", HEARD)
    text = client.get("/metrics").text
    for line in (
        'botify_events_total{message="next"} 3.0',
        'botify_events_total{message="last"} 1.0',
        'botify_latency_seconds_count{message="next"} 2.0',
    ):
        assert line in text


def test_experiments_and_a_refused_version_are_described(
    client: FlaskClient, service: Service
) -> None:
    service.versions.refused = "versions/two: sha256"
    described = client.get("/experiments").get_json()
    assert described["version"] == "one"
    assert described["refused"] == "versions/two: sha256"
    one, other = described["experiments"]
    assert one == {
        "name": "ONE",
        "decides": True,
        "overrides": 2,
        "arms": [
            {"name": "C", "share": 0.5, "recommender": "indexed"},
            {"name": "T1", "share": 0.5, "recommender": "sticky_artist"},
        ],
    }
    assert (other["decides"], other["overrides"]) == (False, 0)


def test_only_the_token_erases_a_listener(client: FlaskClient) -> None:
    post(client, "/next/7", {"track": 1, "time": 0.5})
    for token in ("", "Bearer no", "secret", "Bearer \xe9"):
        headers = {"Authorization": token} if token else {}
        assert client.delete("/listeners/7", headers=headers).status_code == 401
    answer = client.delete("/listeners/7", headers=TOKEN)
    assert (answer.status_code, answer.json) == (200, {"user": 7})
    assert client.delete("/listeners/x", headers=TOKEN).status_code == 400


def test_without_a_configured_token_nobody_administers(
    make_service: MakeService,
) -> None:
    client = client_of(make_service())
    answer = client.delete("/listeners/7", headers={"Authorization": "Bearer "})
    assert answer.status_code == 403
