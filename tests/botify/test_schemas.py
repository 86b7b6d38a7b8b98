"""Bodies, queries and ids in paths that are refused, with the reason."""

from pathlib import Path

import orjson
import pytest
from werkzeug.datastructures import MultiDict

from botify import limits
from botify.errors import BodyError
from botify.model.catalogue import load_catalogue
from botify.schemas import Bodies
from looplib.event_fields import LARGEST_ID
from tests.botify.exports import write_catalogue

LIMIT = 50  # of a batch
HEARD = {"user": 7, "track": 1, "time": 0.5}


@pytest.fixture
def bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bodies:
    monkeypatch.setattr(limits, "BATCH", LIMIT)
    catalogue = load_catalogue(write_catalogue(tmp_path / "tracks.json", range(9)))
    return Bodies(catalogue, text_users=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Input data was truncated"),
        (b'{"track": 1}', "required field `time`"),
        (b'{"track": 1, "time": 1.5}', "Expected `float` <= 1.0 - at `$.time`"),
        (
            b'{"track": "300", "time": 1}',
            "Expected `int`, got `str` - at `$.track`",
        ),
        (b'{"track": 1, "time": 1, "user": 1}', "unknown field `user`"),
        (b'{"track": 1, "time": 1, "n": 0}', "Expected `int` >= 1 - at `$.n`"),
        (b'{"track": 1, "time": 1, "n": 101}', "Expected `int` <= 100 - at `$.n`"),
        (
            b'{"track": 1, "time": 1, "request": 9223372036854775808}',
            "$.request",
        ),
    ],
)
def test_a_wrong_body_of_one_listener(
    bodies: Bodies, body: bytes, message: str
) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.one(body, 7)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "Expected `array` of length >= 1 - at `$.requests`"),
        ([HEARD | {"track": -1}], ">= 0 - at `$.requests[0].track`"),
        ([HEARD] * (LIMIT + 1), f"Expected `array` of length <= {LIMIT}"),
    ],
)
def test_a_wrong_batch(bodies: Bodies, requests: object, message: str) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.many(orjson.dumps({"requests": requests}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"users": []}', "Expected `array` of length >= 1"),
        (b'{"users": [7, -1]}', "Expected `int` >= 0 - at `$.users[1]`"),
        (b'{"users": [7, "1"]}', "Expected `int`, got `str`"),
        (b'{"users": [9223372036854775808]}', f"Expected `int` <= {LARGEST_ID}"),
        (
            orjson.dumps({"users": [1] * (LIMIT + 1)}),
            f"Expected `array` of length <= {LIMIT}",
        ),
    ],
)
def test_a_wrong_list_of_listeners(bodies: Bodies, body: bytes, message: str) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.users(body)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("n=0", "query: Expected `int` >= 1 - at `$.n`"),
        ("n=x", "query: Expected `int`, got `str`"),
        ("exclude=x", "query: Expected `int`, got `str` - at `$.exclude[0]`"),
        ("&".join(f"exclude={n}" for n in range(1001)), "query: "),
        ("m=3", "query: Object contains unknown field `m`"),
    ],
)
def test_a_wrong_query(bodies: Bodies, query: str, message: str) -> None:
    pairs = [pair.partition("=")[::2] for pair in query.split("&")]
    with pytest.raises(BodyError) as caught:
        bodies.query(MultiDict(pairs))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("user", [str(LARGEST_ID + 1), "-4", "9" * 5000, "x"])
def test_a_wrong_listener_in_a_path(bodies: Bodies, user: str) -> None:
    expected = f"user: .* a whole number from 0 to {LARGEST_ID} is expected"
    with pytest.raises(BodyError, match=expected):
        bodies.user(user)
