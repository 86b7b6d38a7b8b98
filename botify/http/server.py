"""The HTTP/1.1 server of a worker process: asyncio and httptools read requests, threads answer them.

A request takes a thread only once all of it has come, so clients that are slow, silent or broken hold none. Health
checks have a thread of their own.
"""

import asyncio
import functools
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from queue import SimpleQueue
from socket import socket

from botify.http.connection import Connection, Pool
from botify.http.messages import Answer, RefusedError, Request
from botify.settings import HttpSettings, Settings

_BACKLOG = 1024
_SWEEP_S = 1.0
_HEALTH = (b"/health/", b"/?")

_Queue = SimpleQueue[tuple[Connection, Request]]


class Server:
    """The server; all but the answering itself happens in the event loop."""

    def __init__(
        self, answer: Callable[[Request], Answer], refuse: Callable[[RefusedError], Answer], settings: Settings
    ) -> None:
        """Make a server; `answer` is called in one of the threads, and must not raise."""
        self._pool = Pool(settings, self._submit, refuse)
        self._answer, self._threads = answer, settings.threads
        self._work: _Queue = SimpleQueue()
        self._health: _Queue = SimpleQueue()

    async def run(self, listener: socket, stop: asyncio.Event, grace_s: float) -> None:
        """Serve until `stop` is set; then requests under way have `grace_s` to be answered."""
        self._loop = asyncio.get_running_loop()
        for queue in (*[self._work] * self._threads, self._health):
            threading.Thread(target=self._answer_all, args=[queue], daemon=True).start()
        self._sweep()
        make_connection = functools.partial(Connection, self._pool)
        context = make_ssl_context(self._pool.limits)
        server = await self._loop.create_server(make_connection, sock=listener, backlog=_BACKLOG, ssl=context)
        await stop.wait()
        server.close()
        self._pool.is_stopping = True
        for connection in self._pool.connections():
            connection.stop()
        deadline = time.monotonic() + grace_s
        while any(connection.is_answering for connection in self._pool.connections()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in self._pool.connections():
            connection.transport.close()
        await asyncio.sleep(0)

    def _submit(self, connection: Connection, request: Request) -> None:
        is_health = request.target == b"/" or request.target.startswith(_HEALTH)
        (self._health if is_health else self._work).put((connection, request))

    def _answer_all(self, queue: _Queue) -> None:
        while True:
            connection, request = queue.get()
            rest = connection.send_at_once(connection.format(self._answer(request)))
            try:
                if rest is not None:
                    self._loop.call_soon_threadsafe(connection.respond, rest)
            except RuntimeError:  # the loop has ended: this took longer than the grace
                return

    def _sweep(self) -> None:
        """End the connections that are past their deadline, every second."""
        self._pool.date = formatdate(usegmt=True).encode()
        now = time.monotonic()
        for connection in self._pool.connections():
            if connection.deadline < now:
                connection.expire()
        self._loop.call_later(_SWEEP_S, self._sweep)


def make_ssl_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """Return the context of the certificate in the settings; None where there is none.

    Raises:
        OSError: The certificate or its key cannot be read, or they do not belong together.
    """
    if settings.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.certificate, settings.certificate_key)
    return context
