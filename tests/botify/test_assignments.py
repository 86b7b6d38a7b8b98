from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from botify.service import Service
from tests.botify.client import events, post
from tests.botify.conftest import LIMIT


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
