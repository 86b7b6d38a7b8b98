"""One kept HTTP/1.1 connection, on which a request is answered before the next one is sent.

A client library costs four times the CPU of this, and traffic of one listener a request is nothing but requests.
"""

import asyncio
from typing import NamedTuple

import httptools
from pydantic import HttpUrl

_READ_BYTES = 1 << 20


class NotSentError(Exception):
    """The service cannot be connected to: nothing was sent."""


class LostError(Exception):
    """A request was sent, and no whole answer came: the service may have acted on it."""


class Answer(NamedTuple):
    """A response."""

    status: int
    body: bytes


class Connection:
    """A connection to a service, made when it is first needed and again when it was closed."""

    def __init__(self, url: HttpUrl, timeout_s: float) -> None:
        """Take the service's address, and how long connecting or answering may take."""
        self._host, self._port, self._has_tls = (url.host or "").strip("[]"), url.port, url.scheme == "https"
        self._prefix = (url.path or "").rstrip("/")
        self._headers = f" HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Type: application/json\r\n"
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._answer, self._is_kept = b"", Answer(0, b""), False

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request and return its answer.

        Raises:
            NotSentError: The service cannot be connected to.
            LostError: No whole answer came.
        """
        head = f"{method} {self._prefix}{path}{self._headers}Content-Length: {len(body)}\r\n\r\n"
        reader, writer = await self._connect()
        self._body, self._answer = b"", Answer(0, b"")
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(head.encode() + body)
                while not self._answer.status:
                    if not (data := await reader.read(_READ_BYTES)):
                        raise ConnectionError("closed by the service")
                    self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            self.close()
            raise LostError(str(error) or "no answer in time") from None
        if not self._is_kept:
            self.close()
        return self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
            self._streams = None

    def on_body(self, part: bytes) -> None:
        """Take a part of the body, from the parser."""
        self._body += part

    def on_message_complete(self) -> None:
        """Take the end of an answer, from the parser."""
        self._answer = Answer(self._parser.get_status_code(), self._body)
        self._is_kept = self._parser.should_keep_alive()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and self._streams[0].at_eof():  # the service closed it after the last answer
            self.close()
        if self._streams is None:
            self._parser = httptools.HttpResponseParser(self)
            try:
                async with asyncio.timeout(self._timeout_s):
                    self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._has_tls or None)
            except OSError as error:
                raise NotSentError(error.strerror or str(error) or "no connection in time") from None
        return self._streams
