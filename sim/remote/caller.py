"""Requests to the service, tried again where that cannot do anything twice.

Tried again, with growing pauses: a request that was never sent, as nobody listened, and one that the service answered
with a 5xx of its own, by which it says that it did not do it. Not tried again: a request whose answer was lost, as the
service may have logged it; a gateway's 502 and 504 say no more than that.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import orjson

from sim.errors import RemoteError
from sim.remote.connection import Answer, Connection, LostError, NotSentError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_LOST_AT_GATEWAY = (502, 504)
_MOST_LOST_IN_A_ROW = 20  # answers without a good one in between, after which the run is given up


class GivenUpError(Exception):
    """A request was refused with 5xx for as long as there was patience: it was not done."""


class StoppedError(Exception):
    """The run ends, and the request was not done."""


@dataclass
class Line:
    """What all callers of a process share.

    Attributes:
        stop: Set when the run is to end.
        patience_s: How long a request is tried again.
        error: Why the run cannot go on.
        requests: Answered ones.
        retries: By reason.
        lost_in_a_row: Requests whose answers were lost since the last good one.
    """

    stop: asyncio.Event
    patience_s: float
    error: RemoteError | None = None
    requests: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    lost_in_a_row: int = 0

    def fail(self, message: str) -> None:
        """Ends the run; the first reason counts."""
        self.error = self.error or RemoteError(message)
        self.stop.set()


class Caller:
    """Asks over one connection, one request at a time."""

    def __init__(self, connection: Connection, line: Line) -> None:
        """A caller over a connection."""
        self._connection, self._line = connection, line

    async def post(self, path: str, body: bytes) -> bytes:
        """Posts a body and returns the answer's.

        Raises:
            LostError: The service may have acted on the request, and its answer is not known.
            GivenUpError: It was answered with 5xx each time.
            StoppedError: The run ends: it was interrupted, nobody listens, or the request was refused as wrong.
        """
        give_up_at, pause_s = float("inf"), _FIRST_PAUSE_S
        while True:
            refused: Answer | None = None
            try:
                answer = await self._connection.post(path, body)
            except NotSentError as error:
                reason = f"not connected: {error}"
            except LostError:
                self._count_lost(path)
                raise
            else:
                if answer.status < 300:
                    self._line.lost_in_a_row = 0
                    self._line.requests += 1
                    return answer.body
                self._check(path, answer)
                refused, reason = answer, f"status {answer.status}"
            now = time.monotonic()
            give_up_at = min(give_up_at, now + self._line.patience_s)
            if now >= give_up_at and refused:
                raise GivenUpError(f"{reason}: {_said(refused.body)}")
            if now >= give_up_at:
                self._line.fail(f"{self._connection.url}: {reason}; is the service running?")
            await self._pause(pause_s)
            self._line.retries[reason] += 1
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _check(self, path: str, answer: Answer) -> None:
        """Lets pass only what may be answered otherwise the next time."""
        if answer.status in _LOST_AT_GATEWAY:
            self._count_lost(path)
            raise LostError(f"status {answer.status} from a gateway")
        if answer.status < 500:
            self._line.fail(f"{self._connection.url}{path}: refused with {answer.status}: {_said(answer.body)}")
            raise StoppedError

    def _count_lost(self, path: str) -> None:
        self._line.lost_in_a_row += 1
        if self._line.lost_in_a_row >= _MOST_LOST_IN_A_ROW:
            self._line.fail(f"{self._connection.url}{path}: {self._line.lost_in_a_row} answers in a row were lost")

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._line.stop.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError


def _said(body: bytes) -> str:
    """The service's own words, in one short line."""
    try:
        text = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:200]
