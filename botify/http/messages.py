"""Requests and answers of HTTP."""

from http import HTTPStatus
from typing import NamedTuple

import orjson


class Request(NamedTuple):
    """A request that was read to its end."""

    method: str
    target: bytes  # path and query
    headers: list[tuple[bytes, bytes]]  # names in lower case
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return a header's value, empty if it was not sent."""
        return next((value for key, value in self.headers if key == name), b"")


class Answer(NamedTuple):
    """An answer; `headers` are whole lines and include the length of the body."""

    status: int
    headers: bytes
    body: bytes


def make_answer(
    found: object, status: int = 200, content_type: bytes = b"application/json"
) -> Answer:
    """Make an answer of what becomes JSON, of the bytes of another type, or of an answer itself."""
    if isinstance(found, Answer):
        return found
    body = found if isinstance(found, bytes) else orjson.dumps(found)
    return Answer(
        status,
        b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body)),
        body,
    )


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Make the error of a status."""
        super().__init__(message)
        self.status = status
