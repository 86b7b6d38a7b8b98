import errno
import re
from collections.abc import Sequence
from typing import NoReturn

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from botify.app import make_app
from botify.schemas import Listening
from botify.service import Service
from botify.sessions.local import Session
from tests.botify.client import events, post


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


@pytest.mark.parametrize(("at_once", "parts"), [(400, [5]), (2, [2, 2, 1])])
def test_a_batch_answers_in_order_and_asks_the_sessions_in_parts(
    client: FlaskClient,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    parts: list[int],
) -> None:
    monkeypatch.setattr("botify.service._AT_ONCE", at_once)
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
    assert asked == parts * 2
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
            b'{"track": "300", "time": 1}',
            400,
            "Expected `int`, got `str` - at `$.track`",
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
            "a whole number from 0 to 9223372036854775807 is expected",
        ),
        (
            "POST",
            "/next/-4",
            b'{"track": 1, "time": 1}',
            400,
            "a whole number from 0 to 9223372036854775807 is expected",
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
            b'{"requests": [{"user": 1, "track": -1, "time": 1}]}',
            400,
            ">= 0 - at `$.requests[0].track`",
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


def test_a_track_that_the_catalogue_lacks_is_logged_and_answered(
    client: FlaskClient, service: Service
) -> None:
    new = {"track": 300, "time": 0.5}
    answered = [post(client, "/next/4", new)["track"]]
    batch = [{"user": 4, **new}, {"user": 3, "track": 10**15, "time": 1}]
    for response in post(client, "/next", {"requests": batch})["responses"]:
        answered.append(response["track"])
    assert set(answered) <= set(range(300))
    post(client, "/last/4", new)
    assert "botify_unknown_tracks_total 4.0" in client.get("/metrics").text
    logged = events(service)
    assert [event["track"] for event in logged] == [300, 300, 10**15, 300]
    assert len({event["session"] for event in logged if event["user"] == 4}) == 1


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
    assert not re.search(r"<script src|//|@import|url\(", page), "all is in the page"
    assert """-d '{ "track": 0, "time": 0.8 }'""" in page
    assert set(re.findall(r'(?:href|src)="([^"#]+)', page)) == {
        "/openapi.json",
        "data:,",
    }
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(
        re.findall(r'id="(\w+)"', page)
    ), "no link leads nowhere"


def test_a_wrong_method_is_answered_with_the_right_ones(client: FlaskClient) -> None:
    answer = client.get("/next/4")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
