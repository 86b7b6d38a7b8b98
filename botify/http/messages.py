"""Requests and answers of HTTP."""

from http import HTTPStatus
from typing import NamedTuple


class Request(NamedTuple):
    """A request that was read to its end."""

    method: str
    target: bytes  # path and query
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Answer(NamedTuple):
    """An answer; `headers` are whole lines and include the length of the body."""

    status: int
    headers: bytes
    body: bytes


def make_answer(status: int, body: bytes, kind: bytes = b"application/json", headers: bytes = b"") -> Answer:
    """Make an answer with a body of some content type; the other headers are whole lines."""
    return Answer(status, b"content-type: %b\r\ncontent-length: %d\r\n%b" % (kind, len(body), headers), body)


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, message: str, headers: bytes = b"") -> None:
        """Make the error of a status; the headers of its answer are whole lines."""
        super().__init__(message)
        self.status, self.headers = status, headers
