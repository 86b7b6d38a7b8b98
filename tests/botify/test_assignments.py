from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from botify.http.app import create_app
from botify.service import Service
from botify.serving import load, make_service
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue

LIMIT = 50
ARMS = [{"recommender": "indexed"}, {"recommender": "sticky_artist"}, {"recommender": "random"}]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    catalogue = write_catalogue(tmp_path / "tracks.json", [0, 0, 1, 1])
    publish(tmp_path, "one", random_lists(5, 4), catalogue=catalogue)
    settings = make_settings(
        tmp_path,
        catalogue,
        batch_limit=LIMIT,
        body_limit_bytes=10_000,
        experiments=[
            {"name": "ONE", "arms": ARMS, "overrides": {3: "T2", 4: "C"}},
            {"name": "OTHER", "arms": [{"name": "on", "recommender": "random"}]},
        ],
    )
    service = make_service(settings, load(settings))
    yield service
    service.close()


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return create_app(service).test_client()


def _ask(client: FlaskClient, users: list[int]) -> list[dict[str, Any]]:
    answer = client.post("/assignments", data=orjson.dumps({"users": users}))
    assert (answer.status_code, answer.content_type) == (200, "application/json"), answer.data
    assert answer.get_json().keys() == {"assignments"}
    found: list[dict[str, Any]] = answer.get_json()["assignments"]
    return found


def _logged(service: Service) -> list[dict[str, Any]]:
    service.close()
    files = sorted(service.settings.log_dir.glob("*.jsonl"))
    return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_listeners_arms_are_answered_in_the_order_asked_even_of_one_named_twice(client: FlaskClient) -> None:
    users = [4, 2**63 - 1, 3, 4, 0]
    found = _ask(client, users)
    assert [one["user"] for one in found] == users
    assert found[0] == found[3] == {"user": 4, "experiments": {"ONE": "C", "OTHER": "on"}}
    assert found[2]["experiments"]["ONE"] == "T2"


def test_the_arms_are_those_that_the_event_log_has(client: FlaskClient, service: Service) -> None:
    users = list(range(LIMIT))
    told = {one["user"]: one["experiments"] for one in _ask(client, users)}
    requests = [{"user": user, "track": 1, "time": 0.5} for user in users]
    assert client.post("/next", json={"requests": requests}).status_code == 200
    events = _logged(service)
    assert {event["user"]: event["experiments"] for event in events} == told
    assert {arms["ONE"] for arms in told.values()} == {"C", "T1", "T2"}


def test_asking_logs_nothing_and_begins_no_session(client: FlaskClient, service: Service) -> None:
    _ask(client, [0, 1])
    assert 'botify_events_total{message="next"} 0.0' in client.get("/metrics").text
    assert _logged(service) == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"[1]", 400, "Input should be"),
        (b"{}", 400, "users: Field required"),
        (b'{"users": []}', 400, "users: List should have at least 1 item"),
        (b'{"users": 7}', 400, "users: Input should be a valid"),
        (b'{"users": [7, -1]}', 400, "users.1: Input should be greater than or equal to 0"),
        (b'{"users": [7, "1"]}', 400, "users.1: Input should be a valid integer"),
        (b'{"users": [7, 1.0]}', 400, "users.1: Input should be a valid integer"),
        (b'{"users": [true]}', 400, "users.0: Input should be a valid integer"),
        (b'{"users": [9223372036854775808]}', 400, "users.0: "),
        (b'{"users": [1], "x": 1}', 400, "x: Extra inputs"),
        (b'{"users": [1], "users": [2]}', 400, "a key is given twice"),
        (orjson.dumps({"users": [1] * (LIMIT + 1)}), 400, f"{LIMIT + 1} found, at most {LIMIT} are allowed"),
        (b" " * 10_001, 413, "exceeds the capacity limit"),
    ],
)
def test_a_wrong_question_is_refused_with_a_message(
    client: FlaskClient, body: bytes, status: int, message: str
) -> None:
    answer = client.post("/assignments", data=body)
    assert answer.status_code == status
    assert message in answer.get_json()["error"]


def test_only_post_asks(client: FlaskClient) -> None:
    assert client.get("/assignments").status_code == 405


def test_the_document_and_its_page_know_the_question(client: FlaskClient) -> None:
    document, page = client.get("/openapi.json").get_json(), client.get("/docs").text
    operation = document["paths"]["/assignments"]["post"]
    assert operation["responses"].keys() == {"200", "400", "413"}
    assert document["components"]["schemas"]["AskedListeners"]["required"] == ["users"]
    assert document["components"]["schemas"]["ListenerArms"]["required"] == ["user", "experiments"]
    assert "/assignments" in page
