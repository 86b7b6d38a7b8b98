"""A service that keeps its events, recommends by a rule, and misbehaves on request."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Event = tuple[int, float]  # track and time
# takes the number of the request, from 1; gives a name below, or a status of HTTP
Mishap = Callable[[int], str | None]

CLOSE_BEFORE = "close before"  # the request is not done, and the connection closed
CLOSE_AFTER = "close after"  # it is done, and the connection closed without an answer
HANG = "hang"  # it is done, and there is no answer
TEXT = "text"
UNKNOWN_TRACK = "unknown track"
WRONG_USER = "wrong user"
SHORT = "short"


@dataclass
class FakeService:
    """The state of a service; `sessions` have ended, as (listener, events)."""

    tracks: int
    mishap: Mishap = lambda _: None
    port: int = 0
    open: dict[int, list[Event]] = field(default_factory=dict)
    sessions: list[tuple[int, tuple[Event, ...]]] = field(default_factory=list)
    requests: int = 0
    numbers: set[tuple[int, str, int]] = field(default_factory=set)
    repeats: int = 0  # events that came again under their number

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.requests += 1
        mishap = self.mishap(self.requests)
        if mishap and mishap.isdecimal():
            error, wait = {"error": f"asked for {mishap}"}, {"Retry-After": "1"}
            return web.json_response(error, status=int(mishap), headers=wait)
        name, events = request.match_info["name"], body["requests"]
        done = () if mishap == CLOSE_BEFORE else events
        document = {"responses": [self._hear(name, event) for event in done]}
        if mishap == HANG:
            await asyncio.sleep(3600)
        if mishap in {CLOSE_BEFORE, CLOSE_AFTER}:
            assert request.transport
            request.transport.close()
        return web.Response(body=_spoil(document, mishap))

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


def _spoil(document: dict[str, Any], mishap: str | None) -> bytes:
    if mishap == TEXT:
        return b"<html>it works!</html>"
    answers = document["responses"]
    if mishap == UNKNOWN_TRACK:
        answers[0]["track"] = 10**6
    if mishap == WRONG_USER:
        answers[0]["user"] += 1
    if mishap == SHORT:
        answers.pop()
    return orjson.dumps(document)


@contextmanager
def fake_service(tracks: int, **options: Any) -> Iterator[FakeService]:  # noqa: ANN401  FakeService's
    """Run the service in a thread, on a free port."""
    service = FakeService(tracks, **options)
    loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=2**24)
    app.add_routes([web.post("/{name:next|last}", service.handle)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    service.port = runner.addresses[0][1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=60)
        loop.run_until_complete(runner.cleanup())
        loop.close()
