"""Connections of the HTTP/1.1 server: each reads requests by httptools and writes their answers in the same order.

Each stage of a connection has a deadline. Connections are bounded in number: where there are too
many, the one that was idle for longest, of the client with the most, makes room.
"""

import asyncio
import os
import resource
import threading
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from queue import SimpleQueue
from typing import cast

import httptools

from botify.http.messages import Answer, RefusedError, Request
from botify.settings import Settings

_SPARE_FILES = 256  # open files that are no connections
_LINGER_S = 2.0  # for a client to read the last answer before its connection is closed
_LONGEST_HEAD = 64 * 2**10
_WORST_CHUNKS = 8  # bytes on the wire for a byte of a body, if each is a chunk
_NEVER = float("inf")
_PHRASES: dict[int, bytes] = {status: status.phrase.encode() for status in HTTPStatus}

Work = SimpleQueue[tuple["Connection", Request]]


class Pool:
    """The connections of a server, bounded in number, and what they share; used in the event loop alone."""

    def __init__(
        self, settings: Settings, refuse: Callable[[RefusedError], Answer]
    ) -> None:
        """Make an empty pool; `refuse` makes the answer to a request that is refused before it was read."""
        self.limits, self.longest_body, self.refuse = (
            settings.http,
            settings.body_limit_bytes,
            refuse,
        )
        # requests to be answered by `send_at_once` or `respond` of their connections
        self.work: Work = SimpleQueue()
        self.health_checks: Work = SimpleQueue()
        self.is_stopping = False
        self.date = b""  # for the headers of answers
        # connections by client, the longest idle first
        self._clients: dict[str, dict[Connection, None]] = {}
        self._count, self._most = 0, _allow_connections(settings.http.connections)

    def connections(self) -> list["Connection"]:
        """Return all connections."""
        return [connection for own in self._clients.values() for connection in own]

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection in, closing an idle one where there are too many; False if none can be closed."""
        crowd = self._clients.get(connection.client, {})
        is_full = len(crowd) >= self.limits.client_connections
        if not is_full and self._count >= self._most:
            crowd, is_full = max(self._clients.values(), key=len), True
        if is_full:
            idle = next((other for other in crowd if not other.is_answering), None)
            if idle is None:
                return False
            idle.transport.abort()
            self.forget(idle)
        self._clients.setdefault(connection.client, {})[connection] = None
        self._count += 1
        return True

    def touch(self, connection: "Connection") -> None:
        """Note that a connection is used."""
        own = self._clients.get(connection.client, {})
        if connection in own:
            own[connection] = own.pop(connection)

    def forget(self, connection: "Connection") -> None:
        """Count a closed connection out."""
        own = self._clients.get(connection.client, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._clients[connection.client]


def _allow_connections(wanted: int) -> int:
    """Raise this process's limit on open files for so many connections; returns how many are possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + _SPARE_FILES
    if soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - _SPARE_FILES))


class Connection(asyncio.Protocol):
    """A connection: reads one request after another, and writes their answers in the same order."""

    def __init__(self, pool: Pool) -> None:
        """Make a connection of a pool."""
        self.is_answering = False
        self.deadline = time.monotonic() + pool.limits.header_s
        self._pool = pool
        self._parser = httptools.HttpRequestParser(self)
        # with whether the connection is kept after it
        self._waiting: deque[tuple[Request | Answer, bool]] = deque()
        # of what the event loop and the answering thread both look at
        self._lock = threading.Lock()
        self._out: int | None = None  # the socket's descriptor; None with TLS
        self._is_lost = False
        self._keep = True  # after the answer
        self._is_reading = False  # a request has begun and not ended
        self._is_deaf = False  # whatever else comes is thrown away
        self._is_at_end = False  # the client sends no more
        # bytes of the request after its first read, and allowed
        self._received, self._longest = 0, _LONGEST_HEAD

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self.client = str((transport.get_extra_info("peername") or [""])[0])
        if self._pool.is_stopping or not self._pool.admit(self):
            self.transport.abort()
        elif self._pool.limits.certificate is None:
            self._out = transport.get_extra_info("socket").fileno()

    def connection_lost(self, _: Exception | None) -> None:
        """Count the connection out; a request under way is still answered to nobody."""
        self._pool.forget(self)
        with self._lock:
            self._is_deaf = self._is_lost = True
        self._waiting.clear()

    def eof_received(self) -> bool:
        """Return whether to stay open, for an answer that is to come."""
        with self._lock:
            self._is_at_end, self._keep = True, False
            return self.is_answering

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._is_deaf:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
            if self._is_reading and self._received > self._longest:
                raise RefusedError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "headers or chunks are too large",
                )
        except httptools.HttpParserUpgrade:
            # another protocol would follow; the request itself is answered
            self._is_deaf, self._keep = True, False
        except httptools.HttpParserError as error:
            cause, wrong = (
                error.__context__,
                RefusedError(HTTPStatus.BAD_REQUEST, f"not HTTP/1.1 ({error})"),
            )
            # which a method below has raised
            self._refuse(cause if isinstance(cause, RefusedError) else wrong)
        except RefusedError as error:
            self._refuse(error)

    # What the parser calls:

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_reading = True
        self._target, self._size = b"", 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._received, self._longest = 0, _LONGEST_HEAD
        self._set_deadline(self._pool.limits.header_s)

    def on_url(self, target: bytes) -> None:
        """Add to the target."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head."""
        self._longest += _WORST_CHUNKS * self._pool.longest_body
        self._set_deadline(self._pool.limits.body_s)
        hosts, size = 0, len(self._target)
        for name, value in self._headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                self._check_size(int(value))
            elif (
                name == b"expect"
                and value.lower() == b"100-continue"
                and not self.is_answering
            ):
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if size > _LONGEST_HEAD:
            raise RefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large"
            )
        if hosts != 1 and self._parser.get_http_version() == "1.1":
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"one Host header is needed, {hosts} came"
            )

    def on_body(self, body: bytes) -> None:
        """Add to the body."""
        self._size += len(body)
        self._check_size(self._size)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Have the request answered."""
        self._is_reading = False
        method, keep = (
            self._parser.get_method().decode("latin-1"),
            self._parser.should_keep_alive(),
        )
        self._take(
            Request(method, self._target, self._headers, b"".join(self._body)),
            keep=keep,
        )

    # One request after another:

    def format(self, answer: Answer) -> bytes:
        """Return the bytes of an answer."""
        end = b"\r\n" if self._keep else b"connection: close\r\n\r\n"
        start = b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (
            answer.status,
            _PHRASES[answer.status],
            self._pool.date,
        )
        return b"".join((start, answer.headers, end, answer.body))

    def send_at_once(self, data: bytes) -> bytes | None:
        """Send an answer in the thread that made it, which spares the event loop a round.

        Until `connection_lost` returns, the descriptor is open, so it is never another
        connection's.

        Returns:
            What `respond` has to send; None if the request is done.
        """
        with self._lock:
            is_simple = self._keep and not (
                self._waiting or self._is_reading or self._is_lost
            )
            if (
                self._out is None
                or not is_simple
                or self.transport.get_write_buffer_size()
            ):
                return data
            try:
                rest = data[os.write(self._out, data) :]
            except OSError:  # full or broken
                return data
            if rest:
                return rest
            self.deadline = time.monotonic() + self._pool.limits.idle_s
            self.is_answering = False
            return None

    def respond(self, data: bytes) -> None:
        """Write the answer to the request under way, and go on to the next one."""
        with self._lock:
            self.is_answering = False
            if self._is_lost:
                return
        self._write(data)
        if self._waiting and self._keep:
            item, keep = self._waiting.popleft()
            self._go_on(item, keep=keep)
        if not self._waiting:
            self.transport.resume_reading()

    def expire(self) -> None:
        """End a connection whose deadline has passed."""
        if self._is_reading and not self._is_deaf:
            self._refuse(
                RefusedError(
                    HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time"
                )
            )
        else:
            self.transport.abort()

    def stop(self) -> None:
        """Close the connection as soon as the request under way is answered."""
        with self._lock:
            self._is_deaf, self._keep = True, False
        if not self.is_answering:
            self.transport.close()

    def _refuse(self, error: RefusedError) -> None:
        self._is_deaf, self._is_reading = True, False
        self._take(self._pool.refuse(error), keep=False)

    def _take(self, item: Request | Answer, *, keep: bool) -> None:
        with self._lock:
            if self.is_answering:
                self._waiting.append((item, keep))
                self.transport.pause_reading()
                return
        self._go_on(item, keep=keep)

    def _go_on(self, item: Request | Answer, *, keep: bool) -> None:
        self._keep = self._keep and keep
        if isinstance(item, Answer):
            self._write(self.format(item))
            return
        self.is_answering, self.deadline = True, _NEVER
        self._pool.touch(self)
        is_health = item.target == b"/" or item.target.startswith((b"/health/", b"/?"))
        (self._pool.health_checks if is_health else self._pool.work).put((self, item))

    def _write(self, data: bytes) -> None:
        self.transport.write(data)
        if self._keep:
            self._set_deadline(
                self._pool.limits.body_s
                if self._is_reading
                else self._pool.limits.idle_s
            )
            return
        self._is_deaf = True  # and closed once the client has read the answer
        self._waiting.clear()
        self.deadline = time.monotonic() + _LINGER_S
        if self._is_at_end or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def _set_deadline(self, seconds: float) -> None:
        if not self.is_answering:
            self.deadline = time.monotonic() + seconds

    def _check_size(self, size: int) -> None:
        if size > self._pool.longest_body:
            message = f"the body is larger than {self._pool.longest_body} bytes"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
