import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from botify import limits
from botify.app import make_app
from botify.asgi import REFUSAL, AsgiMessage, BufferedApp
from tests.botify.client import events
from tests.botify.conftest import MakeService

BODY = b'{"track":1,"time":0.5}'
CLOSED: AsgiMessage = {"type": "http.disconnect"}
OK = "200 OK", [("content-type", "application/json")]
Header = tuple[bytes, bytes]
Answer = tuple[int, dict[str, Any]]


async def ask(
    app: BufferedApp,
    *messages: AsgiMessage,
    raw_path: bytes = b"/next/7",
    header: Header = (b"transfer-encoding", b"chunked"),
) -> Answer:
    """Ask as an ASGI server does; after the messages nothing comes."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 5001),
        "method": "POST",
        "raw_path": raw_path,
        "query_string": b"",
        "headers": [(b"host", b"botify"), header],
    }
    left, sent = list(messages), list[AsgiMessage]()

    async def receive() -> AsgiMessage:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, body = sent
    names = {(name.lower(), value) for name, value in start["headers"]}
    assert (b"content-type", b"application/json") in names
    assert ((b"retry-after", b"1") in names) == (start["status"] == 503)
    return start["status"], orjson.loads(body["body"])


def part(body: bytes, *, more: bool = True) -> AsgiMessage:
    return {"type": "http.request", "body": body, "more_body": more}


def make_buffered(app: Any) -> BufferedApp:  # noqa: ANN401  any WSGI application
    return BufferedApp(app, lambda: None)


@pytest.mark.parametrize(
    ("messages", "status", "error"),
    [
        ([part(BODY[:5]), part(BODY[5:]), part(b"", more=False)], 200, None),
        ([part(BODY), CLOSED], 400, "the connection ended before the body"),
        ([part(BODY)], 408, "the request did not come in time"),
        ([part(b"x" * 1500)] * 2, 413, "send at most 2000 bytes, in large chunks"),
        (
            [part(b" ")] * 6 + [part(BODY, more=False)],
            413,
            "send at most 2000 bytes, in large chunks",
        ),
    ],
)
def test_only_a_whole_body_is_answered_and_logged(
    make_service: MakeService,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[AsgiMessage],
    status: int,
    error: str | None,
) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES", 2000)
    monkeypatch.setattr(limits, "BODY_S", 0.2)
    service = make_service(hosts=["botify"])
    flask = make_app(service)
    answered, answer = asyncio.run(ask(make_buffered(flask), *messages))
    assert (answered, answer.get("error")) == (status, error)
    counted = f'botify_refused_requests_total{{status="{status}"}} 1.0'
    assert (counted in flask.test_client().get("/metrics").text) == (status != 200)
    assert len(events(service)) == (status == 200)


def test_requests_are_passed_on_as_they_came() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        seen.update(environ)
        start(*OK)
        return [b"{", b"}"]

    buffered = make_buffered(app)
    whole, path = part(b"", more=False), b"/next/zo%C3%AB%2F%25"
    asyncio.run(ask(buffered, whole, raw_path=path, header=(b"x-a", b"\xe9")))
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/next/zo\u00eb/%"
    assert seen["HTTP_X_A"] == "\u00e9"
    text = (b"content-type", b"text/plain")
    asyncio.run(ask(buffered, part(b"", more=False), header=text))
    assert seen["CONTENT_TYPE"] == "text/plain"
    asyncio.run(ask(buffered, whole, header=(b"content_type", b"text/plain")))
    assert seen["CONTENT_TYPE"] == "", "an underscore is no hyphen"
    assert asyncio.run(ask(buffered, part(BODY, more=False))) == (200, {})
    assert seen["wsgi.input"].read() == BODY


def refuse(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    """Answer as the Flask application does, with no more than a refusal's status."""
    status, _ = environ.get(REFUSAL, (200, ""))
    later = [("retry-after", "1")] if status == 503 else []
    start(str(status), [("content-type", "application/json"), *later])
    return [b"{}"]


def test_half_a_body_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", 3600)
    monkeypatch.setattr(limits, "LAST_BODY_S", 0.01)
    app = make_buffered(refuse)

    async def end() -> list[Answer]:
        half = [asyncio.create_task(ask(app, part(BODY))) for _ in range(60)]
        await asyncio.sleep(0)
        app.stop()
        return await asyncio.gather(*half)

    assert asyncio.run(end()) == [(408, {})] * 60


def test_the_largest_of_too_many_bodies_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half-sent bodies that nobody finishes leave room for a small one."""
    monkeypatch.setattr(limits, "BODIES_BYTES", 8000)
    monkeypatch.setattr(limits, "BODY_S", 1)
    app, large = make_buffered(refuse), b"x" * 999

    async def flood() -> list[Answer]:
        unfinished = [ask(app, part(large)) for _ in range(20)]
        return await asyncio.gather(*unfinished, ask(app, part(BODY, more=False)))

    *large_answers, small_answer = asyncio.run(flood())
    assert small_answer == (200, {})
    assert [status for status, _ in large_answers] == [408] * 8 + [503] * 12
    status, _ = asyncio.run(ask(app, part(large, more=False)))
    assert status == 200, "all are forgotten"


@pytest.mark.parametrize(
    ("busy", "others"),
    [
        (b"/assignments", [b"/next/7", b"/health/live"]),
        (b"/next/7", [b"/health/live", b"/similar/7"]),
        (b"/health/ready", [b"/next/7", b"/similar/7"]),
    ],
)
def test_a_request_that_waits_too_long_is_refused_and_other_kinds_pass(
    monkeypatch: pytest.MonkeyPatch, busy: bytes, others: list[bytes]
) -> None:
    monkeypatch.setattr(limits, "WAIT_S", 0.1)
    ended = threading.Event()

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        if environ["PATH_INFO"] == busy.decode() and REFUSAL not in environ:
            assert ended.wait(60)
        return refuse(environ, start)

    app, whole = make_buffered(answer), part(BODY, more=False)

    async def flood() -> list[Answer]:
        asked = [asyncio.create_task(ask(app, whole, raw_path=busy)) for _ in range(9)]
        for path in others:
            assert await ask(app, whole, raw_path=path) == (200, {})
        while sum(task.done() for task in asked) < 9 - limits.THREADS:
            await asyncio.sleep(0.01)
        ended.set()
        return await asyncio.gather(*asked)

    statuses = [status for status, _ in asyncio.run(flood())]
    count = limits.THREADS if busy == b"/next/7" else 1
    assert statuses == [200] * count + [503] * (9 - count)


def test_next_is_answered_in_the_event_loop_where_it_never_waits() -> None:
    """Many that come at once leave other requests their turn."""
    ended: list[tuple[str, bool]] = []

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        is_loop = threading.current_thread() is threading.main_thread()
        ended.append((environ["PATH_INFO"], is_loop))
        return refuse(environ, start)

    app = BufferedApp(answer, lambda: None, in_loop=True)
    paths = [b"/next/7"] * 999 + [b"/health/live", b"/last/7", b"/next", b"/rank"]

    async def flood() -> list[Answer]:
        whole = part(BODY, more=False)
        return await asyncio.gather(*(ask(app, whole, raw_path=path) for path in paths))

    assert asyncio.run(flood()) == [(200, {})] * len(paths)
    in_loop = {path for path, is_loop in ended if is_loop}
    assert in_loop == {"/next/7", "/last/7"}
    assert ended.index(("/health/live", False)) < 500
