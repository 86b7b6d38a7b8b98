"""One kept HTTP/1.1 connection on which one request is answered before the next one is sent.

Told apart is whether a request that failed can have reached the service: a `NotSentError` may be tried again, a
`LostError` must not, as the service may have acted on it.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import httptools

from sim.errors import RemoteError

_PORTS = {"http": 80, "https": 443}
_LONGEST_ANSWER = 1 << 26  # bytes


class NotSentError(Exception):
    """The service cannot be connected to, so that nothing was sent."""


class LostError(Exception):
    """A request was sent, and no whole answer came."""


@dataclass(frozen=True)
class Address:
    """Where a service listens."""

    scheme: str
    host: str
    port: int
    prefix: str  # of every path

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads `http://host:port/prefix`.

        Raises:
            RemoteError: It is no such URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RemoteError(f"url: {url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise RemoteError(f"url: {url} found; http://host:port or https://host:port is expected")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def url(self) -> str:
        """What `parse` reads."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said."""

    status: int
    body: bytes


class Connection:
    """A connection, made when it is first needed and again when the service has closed it."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        """A connection that waits so long for an answer."""
        self.url = address.url
        self._address, self._timeout_s = address, timeout_s
        self._head = f" HTTP/1.1\r\nHost: {address.authority}\r\n".encode()
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._wire: _Wire | None = None

    async def post(self, path: str, body: bytes) -> Answer:
        """Posts JSON.

        Raises:
            NotSentError: The service cannot be connected to.
            LostError: No whole answer came.
        """
        rest = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        return await self._ask(f"POST {self._address.prefix}{path}".encode() + self._head + rest)

    async def get(self, path: str) -> Answer:
        """Gets an address; raises what `post` raises."""
        return await self._ask(f"GET {self._address.prefix}{path}".encode() + self._head + b"\r\n")

    def close(self) -> None:
        """Closes it; a later request opens it again."""
        if self._wire:
            self._wire.close()
            self._wire = None

    async def _ask(self, request: bytes) -> Answer:
        wire = self._wire
        if wire is None or wire.is_closed:
            wire = self._wire = await self._connect()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await wire.exchange(request)
        except TimeoutError:
            self.close()
            raise LostError(f"no answer within {self._timeout_s:g} s") from None
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> "_Wire":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, wire = await loop.create_connection(_Wire, self._address.host, self._address.port, ssl=self._tls)
        except OSError as error:  # a TimeoutError is one
            raise NotSentError(error.strerror or str(error) or "no connection in time") from None
        return wire


class _Wire(asyncio.Protocol):
    """An open connection and the parser of what comes over it, whose callbacks are the methods `on_…`."""

    def __init__(self) -> None:
        self.is_closed = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self._length, self._has_head = 0, False

    def exchange(self, request: bytes) -> "asyncio.Future[Answer]":
        """Sends a request; the future is its answer."""
        assert self._transport is not None  # noqa: S101  for the type checker: it is connected before it is given out
        self._answer = asyncio.get_running_loop().create_future()
        self._body, self._length, self._has_head = [], 0, False
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.is_closed = True
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.Transport) else None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the answer is no HTTP ({error})")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._has_head and exc is None:  # an answer of unknown length ends with the connection
            self.on_message_complete()
        self._fail(f"the connection was lost ({exc or 'closed by the service'})")

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._length += len(body)
        if self._length > _LONGEST_ANSWER:
            self._fail(f"the answer is longer than {_LONGEST_ANSWER} bytes")
            self.close()

    def on_message_complete(self) -> None:
        if not self._has_head:  # "100 Continue" and the like come before the answer
            return
        self._has_head = False
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), b"".join(self._body)))
        if not self._parser.should_keep_alive():
            self.close()

    def _fail(self, why: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(LostError(why))
