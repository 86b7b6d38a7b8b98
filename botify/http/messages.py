"""Requests and answers of HTTP."""

from http import HTTPStatus
from typing import NamedTuple


class Request(NamedTuple):
    """A request that was read to its end."""

    method: str
    target: bytes  # path and query
    headers: list[tuple[bytes, bytes]]  # names in small letters
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the first header of a name; empty without one."""
        return next((value for known, value in self.headers if known == name), b"")


class Answer(NamedTuple):
    """An answer; `headers` are whole lines and include the length of the body."""

    status: int
    headers: bytes
    body: bytes


def make_answer(status: int, body: bytes, content_type: bytes = b"application/json") -> Answer:
    """Make an answer, of JSON unless another type is given."""
    return Answer(status, b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body)), body)


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, message: str, headers: bytes = b"") -> None:
        """Make the error of a status; the answer has the headers, whole lines, too."""
        super().__init__(message)
        self.status, self.headers = status, headers
