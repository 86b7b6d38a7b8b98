import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from botify.app import make_app
from botify.schemas import Listening
from botify.service import Service
from botify.sessions.local import Session
from tests.botify.client import client_of, events, post
from tests.botify.conftest import MakeService
from tests.botify.exports import publish

TRACKS, LIMIT = 300, 50
TOKEN = {"Authorization": "Bearer secret"}
ARMS = [{"recommender": "indexed"}, {"recommender": "sticky_artist"}]


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(
        tracks=TRACKS,
        admin_token="secret",  # noqa: S106  of a service that only this test knows
        batch_limit=LIMIT,
        experiments=[
            {"name": "ONE", "arms": ARMS, "overrides": {3: "T1", 4: "C"}},
            {"name": "OTHER", "arms": [{"name": "on", "recommender": "random"}]},
        ],
    )


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return client_of(service)


def test_a_session_of_thirty_requests_repeats_no_track(client: FlaskClient) -> None:
    track, heard = 0, {0}
    for _ in range(30):
        track = post(client, "/next/4", {"track": track, "time": 0.7})["track"]
        assert track not in heard
        heard.add(track)
    assert post(client, "/last/4", {"track": track, "time": 0.7}) == {"user": 4}


def test_every_acknowledged_event_is_logged_with_all_that_is_known(
    client: FlaskClient, service: Service
) -> None:
    given = post(client, "/next/4", {"track": 299, "time": 0.25})
    post(client, "/next/3", {"track": 8, "time": 1})
    post(client, "/last/4", {"track": given["track"], "time": 0})
    first, second, last = events(service)
    assert first.pop("latency") < 1
    session, timestamp = first.pop("session"), first.pop("timestamp")
    assert first == {
        "message": "next", "user": 4, "track": 299, "time": 0.25, "recommendation": given["track"],
        "experiments": {"ONE": "C", "OTHER": "on"}, "recommender": "indexed", "propensity": 1 / 30,
    }  # fmt: skip
    assert (
        second["recommender"],
        second["propensity"],
        second["experiments"]["ONE"],
    ) == ("sticky_artist", 0.25, "T1")
    assert (last["message"], last["session"], last["recommendation"]) == (
        "last",
        session,
        None,
    )
    assert last["timestamp"] >= timestamp


def test_after_last_a_new_session_begins(client: FlaskClient, service: Service) -> None:
    for path in ("/next/4", "/last/4", "/next/4"):
        post(client, path, {"track": 1, "time": 1})
    first, last, second = (event["session"] for event in events(service))
    assert first == last != second


def test_a_batch_answers_in_order_and_asks_the_sessions_once(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    hear = service.sessions.hear

    def count(requests: Sequence[Listening], *, is_last: bool) -> list[Session | None]:
        asked.append(len(requests))
        return hear(requests, is_last=is_last)

    monkeypatch.setattr(service.sessions, "hear", count)
    users = [5, 4, 4, 19, 4]
    requests = [{"user": user, "track": 7, "time": 0.5} for user in users]
    responses = post(client, "/next", {"requests": requests})["responses"]
    assert [response["user"] for response in responses] == users
    ended = post(client, "/last", {"requests": requests})
    assert ended == {"responses": [{"user": user} for user in users]}
    assert asked == [5, 5]
    logged = events(service)
    assert [event["user"] for event in logged] == users * 2
    assert [event["recommendation"] for event in logged[:5]] == [
        response["track"] for response in responses
    ]


def test_the_number_of_a_request_is_logged(
    client: FlaskClient, service: Service
) -> None:
    numbered = {"track": 1, "time": 1, "request": 7}
    for _ in range(2):
        post(client, "/next/4", numbered)
    batch = [{"user": 4, **numbered}, {"user": 4, "track": 1, "time": 1}]
    post(client, "/next", {"requests": batch})
    post(client, "/last/4", numbered)
    logged = events(service)
    assert [event.get("request") for event in logged] == [7, 7, 7, None, 7]


def test_a_track_is_the_catalogues_record(client: FlaskClient) -> None:
    assert client.get("/track/7").json == {
        "track": 7,
        "artist": "artist 1",
        "title": "track 7",
    }
    assert client.get("/track/300").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/next/4", b"", 400, "Input data was truncated"),
        ("POST", "/next/4", b'{"track": 1}', 400, "required field `time`"),
        (
            "POST",
            "/next/4",
            b'{"track": 1, "time": 1.5}',
            400,
            "Expected `float` <= 1.0 - at `$.time`",
        ),
        (
            "POST",
            "/next/4",
            b'{"track": 300, "time": 1}',
            400,
            "Expected `int` <= 299 - at `$.track`",
        ),
        (
            "POST",
            "/next/4",
            b'{"track": 1, "time": 1, "x": 1}',
            400,
            "unknown field `x`",
        ),
        (
            "POST",
            "/next/4",
            b'{"track": 1, "time": 1, "request": 9223372036854775808}',
            400,
            "$.request",
        ),
        (
            "POST",
            "/next/9223372036854775808",
            b'{"track": 1, "time": 1}',
            400,
            "user: Expected `int` <= 9223372036854775807",
        ),
        (
            "POST",
            "/next/-4",
            b'{"track": 1, "time": 1}',
            400,
            "user: Expected `int` >= 0",
        ),
        ("POST", "/next/" + "9" * 5000, b'{"track": 1, "time": 1}', 400, "user: "),
        (
            "POST",
            "/next",
            b'{"requests": []}',
            400,
            "Expected `array` of length >= 1 - at `$.requests`",
        ),
        (
            "POST",
            "/next",
            b'{"requests": [{"user": 1, "track": 300, "time": 1}]}',
            400,
            "<= 299 - at `$.requests[0].track`",
        ),
        ("GET", "/next/4", b"", 405, "not allowed"),
        ("GET", "/nowhere", b"", 404, "not found"),
    ],
)
def test_a_wrong_request_is_refused_with_a_message_and_not_logged(
    client: FlaskClient,
    service: Service,
    method: str,
    path: str,
    body: bytes,
    status: int,
    message: str,
) -> None:
    for wanted in {path, path.replace("/next", "/last")}:
        answer = client.open(wanted, method=method, data=body)
        assert answer.status_code == status
        assert answer.json is not None
        assert message in answer.get_json()["error"]
    assert events(service) == []


def test_a_batch_over_the_limit_is_refused(client: FlaskClient) -> None:
    requests = [{"user": user, "track": 7, "time": 0.5} for user in range(51)]
    answer = client.post("/next", json={"requests": requests})
    assert answer.status_code == 400
    assert "Expected `array` of length <= 50" in answer.get_json()["error"]


def test_an_event_that_cannot_be_written_is_not_acknowledged(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(service.log, "append", full)
    for path, body in (
        ("/next/4", {"track": 1, "time": 1}),
        ("/last/4", {"track": 1, "time": 1}),
        ("/next", {"requests": [{"user": 1, "track": 1, "time": 1}]}),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == 503
        assert "No space left on device" in answer.get_json()["error"]
    monkeypatch.undo()
    post(client, "/next/4", {"track": 1, "time": 1})


def test_an_unexpected_error_is_500_without_its_details(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service, "answer", fail)
    answer = client.post("/next/4", json={"track": 1, "time": 1})
    assert answer.status_code == 500
    assert "secret" not in answer.get_json()["error"]


def test_readiness_names_each_problem(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/health/live").status_code == 200
    assert client.get("/").json == {"status": "alive", "problems": [], "version": "one"}
    assert client.get("/health/ready").json == {
        "status": "ready",
        "problems": [],
        "version": "one",
    }
    monkeypatch.setattr(service.sessions, "is_ready", lambda: False)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.get_json()["problems"] == ["the session store cannot be reached"]
    monkeypatch.undo()
    service.log.failure = "no room"
    assert client.get("/health/ready").get_json()["problems"] == [
        "events cannot be written (no room)"
    ]
    service.log.failure = None
    service.versions.close()
    assert client.get("/health/ready").get_json()["problems"] == [
        "nothing watches for new versions"
    ]
    ready = client.get("/openapi.json").get_json()["paths"]["/health/ready"]["get"]
    assert set(ready["responses"]) == {"200", "503"}


def test_without_a_store_answers_go_on_and_are_counted(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        service.sessions, "hear", lambda requests, **_: [None] * len(requests)
    )
    for _ in range(3):
        assert post(client, "/next/4", {"track": 1, "time": 1})["track"] != 1
    assert (
        "botify_requests_without_session_store_total 3.0" in client.get("/metrics").text
    )
    assert [event["session"] for event in events(service)] == [None] * 3


def test_metrics_count_events_recommenders_and_refusals(client: FlaskClient) -> None:
    post(client, "/next/4", {"track": 1, "time": 1})
    post(
        client,
        "/next",
        {"requests": [{"user": user, "track": 1, "time": 1} for user in (4, 5)]},
    )
    post(client, "/last/4", {"track": 1, "time": 1})
    client.post("/next/4", data=b"{")
    text = client.get("/metrics").text
    for line in (
        'botify_events_total{message="next"} 3.0',
        'botify_events_total{message="last"} 1.0',
        'botify_latency_seconds_count{message="next"} 2.0',
        'botify_refused_requests_total{status="400"} 1.0',
    ):
        assert line in text


def test_experiments_are_described(client: FlaskClient) -> None:
    found = client.get("/experiments").get_json()
    assert found["version"] == "one"
    facts = ("name", "decides", "overrides")
    running = [[each[fact] for fact in facts] for each in found["experiments"]]
    assert running == [["ONE", True, 2], ["OTHER", False, 0]]
    assert found["experiments"][0]["arms"] == [
        {"name": "C", "share": 0.5, "recommender": "indexed"},
        {"name": "T1", "share": 0.5, "recommender": "sticky_artist"},
    ]


def test_the_document_is_openapi_and_knows_every_address(
    client: FlaskClient, service: Service
) -> None:
    document = client.get("/openapi.json").get_json()
    validate(document)
    described = {
        (re.sub(r"{\w+}", "", path), method.upper())
        for path, operations in document["paths"].items()
        for method in operations.keys() - {"parameters"}
    }
    known = {
        (re.sub(r"<.*>", "", rule.rule), method)
        for rule in make_app(service).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert described == known - {("/openapi.json", "GET"), ("/docs", "GET")}


def test_the_page_of_the_document_names_every_endpoint_and_model_and_needs_no_other_host(
    client: FlaskClient,
) -> None:
    document, page = client.get("/openapi.json").get_json(), client.get("/docs").text
    for path, operations in document["paths"].items():
        for method in operations.keys() - {"parameters"}:
            assert re.search(rf">{method.upper()} {re.escape(path)}<", page)
    for model in document["components"]["schemas"]:
        assert f'id="{model}"' in page
    assert not re.search(r"<script|//|@import|url\(", page), "all of it is in the page"
    assert set(re.findall(r'(?:href|src)="([^"#]+)', page)) == {
        "/openapi.json",
        "data:,",
    }
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(
        re.findall(r'id="(\w+)"', page)
    ), "no link leads nowhere"


def test_only_the_token_reloads_and_rolls_back(
    client: FlaskClient, tmp_path: Path
) -> None:
    publish(tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1)
    for headers in (
        {},
        {"Authorization": "Bearer no"},
        {"Authorization": "secret"},
        {"Authorization": "Bearer \xe9"},
    ):
        assert client.post("/admin/reload", headers=headers).status_code == 401
    assert client.post("/admin/reload", headers=TOKEN).json == {"version": "two"}
    assert client.post("/admin/rollback", headers=TOKEN).json == {"version": "one"}
    answer = client.post("/admin/rollback", headers=TOKEN)
    assert answer.status_code == 409
    assert "no version earlier" in answer.get_json()["error"]


def test_a_refused_version_is_reported_to_the_administrator(
    client: FlaskClient, tmp_path: Path
) -> None:
    folder = publish(
        tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1
    )
    (folder / "recommendations.jsonl").write_bytes(b"{}\n")
    answer = client.post("/admin/reload", headers=TOKEN)
    assert answer.status_code == 409
    assert "recommendations.jsonl" in answer.get_json()["error"]
    assert client.get("/experiments").get_json()["version"] == "one"
    assert "recommendations.jsonl" in client.get("/experiments").get_json()["refused"]


def test_without_a_configured_token_nobody_administers(
    make_service: MakeService,
) -> None:
    client = client_of(make_service())
    assert (
        client.post("/admin/reload", headers={"Authorization": "Bearer "}).status_code
        == 403
    )


def test_a_wrong_method_is_answered_with_the_right_ones(client: FlaskClient) -> None:
    answer = client.get("/next/4")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_a_rollback_to_a_named_version_goes_there_once(
    client: FlaskClient, tmp_path: Path
) -> None:
    for day, name in enumerate(("two", "three"), start=1):
        publish(tmp_path, name, {0: [1]}, catalogue=tmp_path / "tracks.json", day=day)
    assert client.post("/admin/reload", headers=TOKEN).json == {"version": "three"}
    for _ in range(2):
        assert client.post(
            "/admin/rollback", headers=TOKEN, json={"version": "two"}
        ).json == {"version": "two"}
    assert (
        "no version four"
        in client.post("/admin/rollback", headers=TOKEN, json={"version": "four"}).text
    )
    assert client.post("/admin/rollback", headers=TOKEN, data=b"[]").status_code == 400


def assignments(client: FlaskClient, users: list[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = post(client, "/assignments", {"users": users})[
        "assignments"
    ]
    return found


def test_listeners_arms_are_answered_in_the_order_asked_even_of_one_named_twice(
    client: FlaskClient,
) -> None:
    users = [4, 2**63 - 1, 3, 4, 0]
    found = assignments(client, users)
    assert [answer["user"] for answer in found] == users
    assert (
        found[0] == found[3] == {"user": 4, "experiments": {"ONE": "C", "OTHER": "on"}}
    )
    assert found[2]["experiments"]["ONE"] == "T1"


def test_the_arms_are_those_that_the_event_log_has(
    client: FlaskClient, service: Service
) -> None:
    users = list(range(LIMIT))
    answered = {
        answer["user"]: answer["experiments"] for answer in assignments(client, users)
    }
    requests = [{"user": user, "track": 1, "time": 0.5} for user in users]
    assert client.post("/next", json={"requests": requests}).status_code == 200
    logged = events(service)
    assert {event["user"]: event["experiments"] for event in logged} == answered
    assert {arms["ONE"] for arms in answered.values()} == {"C", "T1"}


def test_asking_logs_nothing_and_begins_no_session(
    client: FlaskClient, service: Service
) -> None:
    assignments(client, [0, 1])
    assert 'botify_events_total{message="next"} 0.0' in client.get("/metrics").text
    assert events(service) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"{}", "required field `users`"),
        (b'{"users": []}', "Expected `array` of length >= 1"),
        (b'{"users": 7}', "Expected `array`, got `int`"),
        (b'{"users": [7, -1]}', "Expected `int` >= 0 - at `$.users[1]`"),
        (b'{"users": [7, "1"]}', "Expected `int`, got `str`"),
        (b'{"users": [7, 1.0]}', "Expected `int`, got `float`"),
        (b'{"users": [true]}', "Expected `int`, got `bool`"),
        (
            b'{"users": [9223372036854775808]}',
            "Expected `int` <= 9223372036854775807",
        ),
        (b'{"users": [1], "x": 1}', "unknown field `x`"),
        (
            orjson.dumps({"users": [1] * (LIMIT + 1)}),
            f"Expected `array` of length <= {LIMIT}",
        ),
    ],
)
def test_a_wrong_request_for_assignments_is_refused_with_a_message(
    client: FlaskClient, body: bytes, message: str
) -> None:
    answer = client.post("/assignments", data=body)
    assert answer.status_code == 400
    assert message in answer.get_json()["error"]
