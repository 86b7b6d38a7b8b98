"""A service that keeps what it is told, recommends by a rule, and misbehaves on request."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

Event = tuple[int, float]  # track and time
Mishap = Callable[
    [int, str], str | None
]  # of the number of the request, from 1, and its path

CLOSE_BEFORE = "close before"  # the request is not done, and the connection closed
CLOSE_AFTER = "close after"  # it is done, and the connection closed without an answer
HANG = "hang"  # it is done, and there is no answer
NO_HTTP = "no HTTP"
TEXT = "text"
UNKNOWN_TRACK = "unknown track"
WRONG_USER = "wrong user"
SHORT = "short"


def never(number: int, path: str) -> None:
    del number, path


@dataclass
class FakeService:
    """The state of a service; `sessions` are those that were ended, as (listener, events)."""

    tracks: int
    mishap: Mishap = never
    has_batches: bool = True
    port: int = 0
    open: dict[int, list[Event]] = field(default_factory=dict)
    sessions: list[tuple[int, tuple[Event, ...]]] = field(default_factory=list)
    paths: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    requests: int = 0
    numbers: set[tuple[int, str, int]] = field(default_factory=set)
    repeats: int = 0  # events that came again under their number

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        with suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while await self._one_request(reader, writer):
                pass
        writer.close()

    async def _one_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        self.requests += 1
        mishap = self.mishap(self.requests, path)
        if mishap == CLOSE_BEFORE:
            return False
        if mishap and mishap.isdecimal():
            return await self._send(
                writer, int(mishap), orjson.dumps({"error": f"asked for {mishap}"})
            )
        status, document = self._do(method, path, body)
        if mishap == CLOSE_AFTER:
            return False
        if mishap == HANG:
            await asyncio.sleep(3600)
        if mishap == NO_HTTP:
            writer.write(b"220 mail ready\r\n")
            return True
        return await self._send(writer, status, _spoil(document, mishap))

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, body: bytes
    ) -> bool:
        writer.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        return True

    def _do(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        name, _, user = path.removeprefix("/").partition("/")
        self.paths[f"{method} /{name}{'/' if user else ''}"] += 1
        if name not in {"next", "last"} or not (user or self.has_batches):
            return 404, {"error": "no such address"}
        if user:
            return 200, self._hear(name, {"user": int(user), **orjson.loads(body)})
        many = orjson.loads(body)["requests"]
        if not many:
            return 400, {"error": "no requests"}
        return 200, {"responses": [self._hear(name, request) for request in many]}

    def _hear(self, name: str, request: dict[str, Any]) -> dict[str, int]:
        """Keep an event once, as readers of a log do; its repetition has another answer."""
        user, track = request["user"], request["track"]
        number = (user, name, request["request"])
        if number in self.numbers:
            self.repeats += 1
        else:
            self.numbers.add(number)
            self.open.setdefault(user, []).append((track, request["time"]))
            if name == "last":
                self.sessions.append((user, tuple(self.open.pop(user))))
        if name == "last":
            return {"user": user}
        played = len(self.open[user]) + 50 * self.repeats
        return {"user": user, "track": (7 * track + 13 * user + played) % self.tracks}


def _spoil(document: Any, mishap: str | None) -> bytes:  # noqa: ANN401  a JSON document
    if mishap == TEXT:
        return b"<html>it works!</html>"
    answers = document.get("responses", [document])
    if mishap == UNKNOWN_TRACK:
        answers[0]["track"] = 10**6
    if mishap == WRONG_USER:
        answers[0]["user"] += 1
    if mishap == SHORT:
        answers.pop()
    return orjson.dumps(document)


@contextmanager
def fake_service(tracks: int, port: int = 0, **options: Any) -> Iterator[FakeService]:  # noqa: ANN401  FakeService's
    """Runs one in a thread, on a free port unless told otherwise."""
    service = FakeService(tracks, **options)
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(service.handle, "127.0.0.1", port)

    server = loop.run_until_complete(start())
    service.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=60)
        loop.run_until_complete(_shut(server))
        loop.close()


async def _shut(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
