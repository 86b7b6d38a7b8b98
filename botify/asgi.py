"""Run a WSGI application under ASGI, so that slow clients hold no thread.

A thread takes a request once its whole body has come, within a deadline and a limit. Health
checks have a thread of their own. ASGI reports the bodies that are cut short; granian's RSGI, which
costs as much, does not.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""The status, the headers and the body."""


class BufferedApp:
    """An ASGI application that reads bodies, and asks a WSGI application."""

    def __init__(
        self,
        app: WSGIApplication,
        close: Callable[[], None],
        *,
        threads: int,
        body_s: float,
        body_limit: int,
    ) -> None:
        """Put threads before an application; `close` is called when the server stops."""
        self._app = app
        self._close = close
        self._body_s = body_s
        self._body_limit = body_limit
        self._threads = ThreadPoolExecutor(threads)
        self._health_thread = ThreadPoolExecutor(1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._threads.shutdown()
            self._close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, headers, content = await self._answer(scope, receive)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        try:
            async with asyncio.timeout(self._body_s):
                body = await self._read_body(scope, receive)
        except TimeoutError:
            return _refusal(408, "the request did not come in time")
        except ConnectionError as error:
            return _refusal(400, str(error))
        environ = _environ(scope, body)
        path = environ["PATH_INFO"]
        is_health_check = path == "/" or path.startswith("/health/")
        threads = self._health_thread if is_health_check else self._threads
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._ask, environ)

    async def _read_body(self, scope: Message, receive: Receive) -> bytes:
        """Read a body to its end, or a part over the limit, which Flask refuses."""
        length = dict(scope["headers"]).get(b"content-length")
        body = bytearray()
        more = True
        while more and len(body) <= self._body_limit and length != b"%d" % len(body):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the connection ended before the body")
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body)

    def _ask(self, environ: dict[str, Any]) -> Answer:
        head: list[Any] = []

        def start_response(*start: object) -> Callable[[bytes], object]:
            head.extend(start)
            return head.append  # which nobody calls

        content = b"".join(self._app(environ, start_response))
        status, headers = head
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return int(status[:3]), encoded, content


def _environ(scope: Message, body: bytes) -> dict[str, Any]:
    """Return what WSGI passes of a request."""
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
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ


def _refusal(status: int, message: str) -> Answer:
    headers = [(b"content-type", b"application/json")]
    return status, headers, orjson.dumps({"error": message})
