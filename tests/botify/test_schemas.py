"""Bodies, queries and ids in paths that are refused, with the reason."""

from collections.abc import Callable
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

LIMIT = 50  # largest batch
HEARD = {"user": 7, "track": 1, "time": 0.5}
USER = f"; a whole number from 0 to {LARGEST_ID} is expected"


@pytest.fixture
def bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bodies:
    monkeypatch.setattr(limits, "BATCH", LIMIT)
    catalogue = load_catalogue(write_catalogue(tmp_path / "tracks.json", range(9)))
    return Bodies(catalogue, text_users=False)


def read_one(bodies: Bodies, body: bytes) -> object:
    return bodies.one(body, 7)


def read_query(bodies: Bodies, query: str) -> object:
    pairs = [pair.partition("=")[::2] for pair in query.split("&")]
    return bodies.query(MultiDict(pairs))


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_one, b"", "Input data was truncated"),
        (read_one, b'{"track": 1}', "required field `time`"),
        (read_one, b'{"track": 1, "time": 1.5}', "`float` <= 1.0 - at `$.time`"),
        (read_one, b'{"track": "300", "time": 1}', "`int`, got `str` - at `$.track`"),
        (read_one, b'{"track": 1, "time": 1, "user": 1}', "unknown field `user`"),
        (read_one, b'{"track": 1, "time": 1, "n": 0}', "`int` >= 1 - at `$.n`"),
        (read_one, b'{"track": 1, "time": 1, "n": 101}', "`int` <= 100 - at `$.n`"),
        (
            read_one,
            b'{"track": 1, "time": 1, "request": 9223372036854775808}',
            "$.request",
        ),
        (
            Bodies.many,
            b'{"requests": []}',
            "Expected `array` of length >= 1 - at `$.requests`",
        ),
        (
            Bodies.many,
            b'{"requests": [{"user": 7, "track": -1, "time": 0.5}]}',
            ">= 0 - at `$.requests[0].track`",
        ),
        (
            Bodies.many,
            orjson.dumps({"requests": [HEARD] * (LIMIT + 1)}),
            f"Expected `array` of length <= {LIMIT}",
        ),
        (Bodies.users, b'{"users": []}', "Expected `array` of length >= 1"),
        (Bodies.users, b'{"users": [7, -1]}', ">= 0 - at `$.users[1]`"),
        (Bodies.users, b'{"users": [7, "1"]}', "Expected `int`, got `str`"),
        (Bodies.users, b'{"users": [9223372036854775808]}', f"`int` <= {LARGEST_ID}"),
        (
            Bodies.users,
            orjson.dumps({"users": [1] * (LIMIT + 1)}),
            f"Expected `array` of length <= {LIMIT}",
        ),
        (read_query, "n=0", "query: Expected `int` >= 1 - at `$.n`"),
        (read_query, "n=x", "query: Expected `int`, got `str`"),
        (read_query, "exclude=x", "Expected `int`, got `str` - at `$.exclude[0]`"),
        (read_query, "&".join(f"exclude={n}" for n in range(1001)), "query: "),
        (read_query, "m=3", "query: Object contains unknown field `m`"),
        *(
            (Bodies.user, user, USER)
            for user in (f"{LARGEST_ID + 1}", "-4", "9" * 5000, "x")
        ),
    ],
)
def test_what_is_wrong_in_a_request_is_said(
    bodies: Bodies,
    read: Callable[[Bodies, bytes | str], object],
    content: bytes | str,
    message: str,
) -> None:
    with pytest.raises(BodyError) as caught:
        read(bodies, content)
    assert message in str(caught.value)
