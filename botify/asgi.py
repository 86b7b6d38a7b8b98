"""Run a WSGI application under ASGI, so that slow clients hold no thread.

A thread takes a request once its whole body has come. The next track of a listener has threads of
its own, and so have health checks and the other requests, some of which take long: no kind waits
for another. An application whose `/next` and `/last` never wait answers them in the event loop,
one request a turn: a thread would cost them more, waiting for Python's lock, than the answer.
The application answers refused requests too: `REFUSAL` in their environment has the
status and the reason. ASGI reports a body that is cut short; granian's RSGI does not.
"""

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug import exceptions

from botify import limits

REFUSAL = "botify.refusal"
AsgiMessage = dict[str, Any]
Environ = dict[str, Any]
"""A request as WSGI passes it."""
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
_HEARD = ("/next/", "/last/")
_SHORT = (*_HEARD, "/rank", "/track/")
_HOST = r"[^\s,/?#@]+"  # no comma, so it is sent once


class BufferedApp:
    """An ASGI application that reads bodies, and asks a WSGI application."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        close: Callable[[], None],
        *,
        in_loop: bool = False,
    ) -> None:
        """Put threads before an application.

        Args:
            app: The WSGI application.
            close: Called when the server stops.
            in_loop: Answer single `/next` and `/last` requests, which never wait, in the event
                loop.
        """
        self._app, self._close = app, close
        self._in_loop = _HEARD if in_loop else ()
        self._short = asyncio.Semaphore(limits.THREADS)
        self._health, self._long = asyncio.Semaphore(1), asyncio.Semaphore(1)
        self._bodies = self._bodies_bytes = 0  # requests under way, and their bytes
        self._deadlines: set[asyncio.Timeout] = set()  # deadlines of half-read bodies

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await asyncio.get_running_loop().shutdown_default_executor()
            self._close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        environ, body = _environ(scope), bytearray()
        self._bodies += 1
        try:
            _check_head(environ, scope["http_version"])
            await self._read(receive, body)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
            answer = await self._ask_in_turn(environ)
        except exceptions.HTTPException as refusal:
            # not the error: by its traceback it would keep the connection open
            environ[REFUSAL] = refusal.code, refusal.description
            answer = self._ask(environ)
        finally:
            self._bodies -= 1
            self._bodies_bytes -= len(body)
        for message in answer:
            await send(message)

    def stop(self) -> None:
        """Give bodies that have not come whole a second, as the server is about to stop."""
        for deadline in self._deadlines:
            if not deadline.expired():
                soon = asyncio.get_running_loop().time() + limits.LAST_BODY_S
                deadline.reschedule(soon)

    async def _read(self, receive: Receive, body: bytearray) -> None:
        """Read a body to its end.

        Raises:
            HTTPException: The body does not come whole in time, is too large, or has more than its
                share of the memory for all bodies, which is full.
        """
        counted = 0
        try:
            async with asyncio.timeout(limits.BODY_S) as deadline:
                self._deadlines.add(deadline)
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise exceptions.BadRequest(
                            "the connection ended before the body"
                        )
                    part = message.get("body", b"")
                    body += part
                    self._bodies_bytes += len(part)
                    counted += max(len(part), limits.CHUNK_BYTES)
                    if counted > limits.BODY_BYTES:
                        raise exceptions.RequestEntityTooLarge
                    if (
                        self._bodies_bytes
                        > limits.BODIES_BYTES
                        < len(body) * self._bodies
                    ):
                        raise exceptions.ServiceUnavailable(
                            "too many large bodies at once; ask again in a second"
                        )
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            raise exceptions.RequestTimeout(
                "the request did not come in time"
            ) from None
        finally:
            self._deadlines.discard(deadline)

    async def _ask_in_turn(self, environ: Environ) -> list[AsgiMessage]:
        """Have a thread of the right kind answer, or the event loop.

        Raises:
            HTTPException: None was free in time.
        """
        path = environ["PATH_INFO"]
        free = self._short if path.startswith(_SHORT) else self._long
        if path == "/" or path.startswith("/health/"):
            free = self._health
        try:
            async with asyncio.timeout(limits.WAIT_S):
                await free.acquire()
        except TimeoutError:
            raise exceptions.ServiceUnavailable(
                "too many requests at once; ask again in a second"
            ) from None
        try:
            if path.startswith(self._in_loop):
                await asyncio.sleep(
                    0
                )  # after each answer other requests have their turn
                return self._ask(environ)
            return await asyncio.to_thread(self._ask, environ)
        finally:
            free.release()

    def _ask(self, environ: Environ) -> list[AsgiMessage]:
        head: list[Any] = []
        content = b"".join(self._app(environ, lambda *start: head.extend(start)))
        status, headers = head
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return [
            {
                "type": "http.response.start",
                "status": int(status[:3]),
                "headers": encoded,
            },
            {"type": "http.response.body", "body": content},
        ]


def _check_head(environ: Environ, http_version: str) -> None:
    """Refuse invalid heads (RFC 9112, 3.2 and 6.1) that granian passes on.

    Raises:
        HTTPException: The Host is missing, invalid or sent twice, or the transfer encoding is
            not known.
    """
    is_valid = re.fullmatch(_HOST, environ.get("HTTP_HOST", ""))
    if not is_valid and http_version == "1.1":
        raise exceptions.BadRequest("one valid header Host is needed")
    # the body is read whole, so the application need not know how it came
    if environ.pop("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked":
        raise exceptions.NotImplemented(
            "of transfer encodings only chunked is known, once"
        )


def _environ(scope: AsgiMessage) -> Environ:
    """Make the environment of a request, as far as Flask reads it."""
    host, port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    for name, value in scope["headers"]:
        if b"_" in name:  # would pass for a header with a hyphen
            continue
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        # values of a header that is sent twice are joined (RFC 9110, 5.3)
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ["CONTENT_TYPE"] = environ.get("HTTP_CONTENT_TYPE", "")
    return environ
