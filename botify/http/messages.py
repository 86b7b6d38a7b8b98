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


def make_answer(status: int, body: bytes) -> Answer:
    """Make an answer of JSON."""
    return Answer(status, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body)


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Make the error of a status."""
        super().__init__(message)
        self.status = status
