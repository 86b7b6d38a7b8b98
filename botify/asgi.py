"""Run a WSGI application under ASGI, so that slow clients hold no thread.

A thread takes a request once its whole body has come, within a deadline and a limit. The next track
of one listener has `threads`, health checks a thread of their own, and all others, of which one may
take long, another one. ASGI reports the bodies that are cut short; granian's RSGI, which
costs as much, does not.
"""

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

import orjson
from werkzeug import exceptions
from werkzeug.exceptions import HTTPException

from botify.limits import LATER, RETRY_AFTER, LimitedThreads

AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""The status, the headers and the body."""
_LEAST_OF_A_CHUNK = 512  # bytes that each chunk counts as: they cost time, too
_LARGEST_BODIES = 8  # that fit into the memory for all bodies
_MOST_LONG = 64  # requests that wait for the thread of long ones
_MOST_SHORT = 16  # that may wait for the other threads, and longer than
_MOST_WAIT_S = 1.0
_SHORT = ("/next/", "/last/", "/rank", "/track/")
_HOST = re.compile(rb"[^\s,/?#@]+")


class BufferedApp:
    """An ASGI application that reads bodies, and asks a WSGI application."""

    def __init__(
        self,
        app: WSGIApplication,
        close: Callable[[], None],
        refused: Callable[[int], object] = lambda _status: None,
        *,
        threads: int,
        body_s: float,
        body_limit: int,
    ) -> None:
        """Put threads before an application; `close` is called when the server stops.

        `refused` is called with the status of each request that the application does not get.
        """
        self._app = app
        self._close = close
        self._refused = refused
        self._body_s = body_s
        self._body_limit = body_limit
        self._threads = LimitedThreads(
            threads, most_waiting=_MOST_SHORT, most_wait_s=_MOST_WAIT_S
        )
        self._health_thread = LimitedThreads(
            1, most_waiting=_MOST_SHORT, most_wait_s=_MOST_WAIT_S
        )
        self._long_thread = LimitedThreads(1, most_waiting=_MOST_LONG)
        self._bodies = 0  # under way
        self._bodies_bytes = 0

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            for threads in (self._threads, self._health_thread, self._long_thread):
                threads.shutdown()
            self._close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, headers, content = await self._answer(scope, receive)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: AsgiMessage, receive: Receive) -> Answer:
        body = bytearray()
        self._bodies += 1
        try:
            _check_head(scope)
            async with asyncio.timeout(self._body_s):
                await self._read_body(scope, receive, body)
            return await self._pass_on(_environ(scope, bytes(body)))
        except TimeoutError:
            return self._refuse(
                exceptions.RequestTimeout("the request did not come in time")
            )
        except HTTPException as refusal:  # no thread gets this request
            return self._refuse(refusal)
        finally:
            self._bodies -= 1
            self._bodies_bytes -= len(body)

    def _refuse(self, refusal: HTTPException) -> Answer:
        status = refusal.code or 500
        self._refused(status)
        headers = [(b"content-type", b"application/json")]
        if isinstance(refusal, exceptions.ServiceUnavailable):
            headers.append((b"retry-after", RETRY_AFTER.encode()))
        return status, headers, orjson.dumps({"error": refusal.description})

    async def _read_body(
        self, scope: AsgiMessage, receive: Receive, body: bytearray
    ) -> None:
        """Read a body to its end, or a part over the limit, which Flask refuses.

        Raises:
            HTTPException: The connection ends before, there are too many chunks, or all bodies
                have too many bytes, and this one more than its share of them.
        """
        length = dict(scope["headers"]).get(b"content-length")
        most_bytes = _LARGEST_BODIES * self._body_limit
        counted = 0
        more = True
        while more and counted <= self._body_limit and length != b"%d" % len(body):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise exceptions.BadRequest("the connection ended before the body")
            part = message.get("body", b"")
            body += part
            counted += max(len(part), _LEAST_OF_A_CHUNK)
            self._bodies_bytes += len(part)
            if self._bodies_bytes > most_bytes < len(body) * self._bodies:
                raise exceptions.ServiceUnavailable(
                    f"too many large bodies at once; {LATER}"
                )
            more = message.get("more_body", False)
        if counted > self._body_limit >= len(body):
            raise exceptions.RequestEntityTooLarge(
                "the body has too many chunks; send larger ones"
            )

    async def _pass_on(self, environ: dict[str, Any]) -> Answer:
        """Have a thread of the right kind answer.

        Raises:
            HTTPException: Too many requests wait for it.
        """
        path = environ["PATH_INFO"]
        threads = self._threads if path.startswith(_SHORT) else self._long_thread
        if path == "/" or path.startswith("/health/"):
            threads = self._health_thread
        answer: Answer = await threads.run(self._ask, environ)
        return answer

    def _ask(self, environ: dict[str, Any]) -> Answer:
        head: list[Any] = []

        def start_response(*start: object) -> Callable[[bytes], object]:
            head.extend(start)
            return head.append  # which is never called

        content = b"".join(self._app(environ, start_response))
        status, headers = head
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return int(status[:3]), encoded, content


def _check_head(scope: AsgiMessage) -> None:
    """Refuse heads that RFC 9112 (3.2, 6.1) has servers refuse, and granian passes on.

    Raises:
        HTTPException: There is not one valid Host, or the body is not sent in one known way.
    """
    headers = scope["headers"]
    hosts = [value for name, value in headers if name == b"host"]
    # granian adds an empty one where there is none
    is_valid = len(hosts) == 1 and _HOST.fullmatch(hosts[0])
    if not is_valid and scope["http_version"] == "1.1":
        raise exceptions.BadRequest("one valid header Host is needed")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise exceptions.NotImplemented(
            "of transfer encodings only chunked is known, once"
        )


def _environ(scope: AsgiMessage, body: bytes) -> dict[str, Any]:
    """Make the environment of a request as WSGI passes it, as far as Flask reads it."""
    host, port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        environ[f"HTTP_{key}"] = value.decode("latin-1")
    environ["CONTENT_TYPE"] = environ.get("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body has come whole
    return environ
