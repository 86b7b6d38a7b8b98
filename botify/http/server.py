"""The HTTP/1.1 server of a worker process: asyncio and httptools read requests, threads answer them.

A request takes a thread only once all of it has come, so clients that are slow, silent or broken
hold none. Health checks have a thread of their own.
"""

import asyncio
import functools
import ssl
import threading
import time
from email.utils import formatdate
from socket import socket

from botify.http.app import Application
from botify.http.connection import Connection, Pool, Work
from botify.settings import HttpSettings, Settings

_BACKLOG = 1024
_SWEEP_S = 1.0


async def serve_http(
    application: Application,
    settings: Settings,
    listener: socket,
    stop: asyncio.Event,
    grace_s: float,
) -> None:
    """Serve until `stop` is set; then requests under way have `grace_s` to be answered."""
    pool, loop = Pool(settings, application.refuse), asyncio.get_running_loop()
    for work in (*[pool.work] * settings.threads, pool.health_checks):
        threading.Thread(
            target=_answer_all, args=[application, work, loop], daemon=True
        ).start()
    _sweep(pool, loop)
    context = make_ssl_context(settings.http)
    make_connection = functools.partial(Connection, pool)
    server = await loop.create_server(
        make_connection, sock=listener, backlog=_BACKLOG, ssl=context
    )
    await stop.wait()
    server.close()
    pool.is_stopping = True
    for connection in pool.connections():
        connection.stop()
    deadline = time.monotonic() + grace_s
    while (
        any(connection.is_answering for connection in pool.connections())
        and time.monotonic() < deadline
    ):
        await asyncio.sleep(0.01)
    for connection in pool.connections():
        connection.transport.close()
    await asyncio.sleep(0)


def _answer_all(
    application: Application, work: Work, loop: asyncio.AbstractEventLoop
) -> None:
    while True:
        connection, request = work.get()
        rest = connection.send_at_once(connection.format(application.answer(request)))
        try:
            if rest is not None:
                loop.call_soon_threadsafe(connection.respond, rest)
        except RuntimeError:  # the loop has ended: this took longer than the grace
            return


def _sweep(pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
    """End the connections that are past their deadline, every second."""
    pool.date = formatdate(usegmt=True).encode()
    now = time.monotonic()
    for connection in pool.connections():
        if connection.deadline < now:
            connection.expire()
    loop.call_later(_SWEEP_S, _sweep, pool, loop)


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
