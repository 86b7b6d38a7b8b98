import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from botify.app import make_app
from botify.asgi import BufferedApp, Message
from tests.botify.client import events
from tests.botify.conftest import MakeService

BODY = b'{"track":1,"time":0.5}'


def ask(
    app: BufferedApp,
    messages: list[Message],
    raw_path: bytes = b"/next/7",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> tuple[int, dict[str, Any]]:
    """Ask as an ASGI server does; after the messages nothing comes."""
    return asyncio.run(ask_beside(app, messages, raw_path, headers))


async def ask_beside(
    app: BufferedApp,
    messages: list[Message],
    raw_path: bytes = b"/next/7",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> tuple[int, dict[str, Any]]:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 5001),
        "method": "POST",
        "raw_path": raw_path,
        "query_string": b"",
        "headers": [(b"host", b"botify"), *headers],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, body = sent
    assert (b"content-type", b"application/json") in {
        (name.lower(), value) for name, value in start["headers"]
    }
    return start["status"], orjson.loads(body["body"])


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


CLOSED: Message = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "status", "error"),
    [
        ([part(BODY[:5]), part(BODY[5:]), part(b"", more=False)], 200, None),
        ([part(BODY), CLOSED], 400, "the connection ended before the body"),
        ([part(BODY)], 408, "the request did not come in time"),
        ([part(b"x" * 1500)] * 2, 413, "the body is larger than 2000 bytes"),
        (
            [part(b" ")] * 6 + [part(BODY, more=False)],
            413,
            "the body has too many chunks; send larger ones",
        ),
    ],
)
def test_only_a_whole_body_is_answered_and_logged(
    make_service: MakeService, messages: list[Message], status: int, error: str | None
) -> None:
    service = make_service(body_limit_bytes=2000)
    flask = make_app(service)
    app = BufferedApp(
        flask,
        service.close,
        lambda status: service.metrics.refusals.labels(str(status)).inc(),
        threads=1,
        body_s=0.2,
        body_limit=2000,
    )
    found, answer = ask(app, list(messages))
    assert (found, answer.get("error")) == (status, error)
    counted = f'botify_refused_requests_total{{status="{status}"}} 1.0'
    assert (counted in flask.test_client().get("/metrics").text) == (status != 200)
    assert len(events(service)) == (status == 200)


def test_a_body_of_known_length_is_taken_as_soon_as_it_is_there(
    make_service: MakeService,
) -> None:
    service = make_service()
    app = BufferedApp(
        make_app(service), service.close, threads=1, body_s=60, body_limit=1000
    )
    length = (b"content-length", b"%d" % len(BODY))
    assert ask(app, [part(BODY)], headers=(length,))[0] == 200


def test_the_path_and_headers_are_passed_on_as_they_came() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        seen.update(environ)
        start("200 OK", [("content-type", "application/json")])
        return [b"{", b"}"]

    buffered = BufferedApp(app, lambda: None, threads=1, body_s=60, body_limit=1000)
    path = b"/next/zo%C3%AB%2F%25"
    ask(buffered, [part(b"", more=False)], path, ((b"x-a", b"\xe9"),))
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/next/zo\u00eb/%"
    assert seen["HTTP_X_A"] == "\u00e9"


def answer_nothing(_: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    start("200 OK", [("content-type", "application/json")])
    return [b"{}"]


def test_the_largest_of_too_many_bodies_are_refused() -> None:
    """Half-sent bodies that nobody finishes leave room for a small one."""
    app = BufferedApp(answer_nothing, lambda: None, threads=1, body_s=1, body_limit=900)

    async def flood() -> list[tuple[int, dict[str, Any]]]:
        large = [ask_beside(app, [part(b"x" * 899)]) for _ in range(20)]
        small = ask_beside(app, [part(BODY, more=False)])
        return await asyncio.gather(*large, small)

    *of_large, of_small = asyncio.run(flood())
    assert of_small == (200, {})
    statuses = [status for status, _ in of_large]
    assert statuses == [408] * 8 + [503] * 12
    assert "too many large bodies" in of_large[-1][1]["error"]
    assert ask(app, [part(b"x" * 899, more=False)])[0] == 200, "all are forgotten"


def test_of_too_many_long_requests_the_last_are_refused_and_short_ones_pass() -> None:
    short_answered = threading.Event()

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        if environ["PATH_INFO"] == "/assignments":
            assert short_answered.wait(60)
        return answer_nothing(environ, start)

    app = BufferedApp(answer, lambda: None, threads=1, body_s=60, body_limit=900)

    async def flood() -> list[tuple[int, dict[str, Any]]]:
        whole = part(BODY, more=False)
        long = asyncio.gather(
            *(ask_beside(app, [dict(whole)], b"/assignments") for _ in range(70))
        )
        assert await ask_beside(app, [dict(whole)]) == (200, {})
        short_answered.set()
        return await long

    answers = asyncio.run(flood())
    assert [status for status, _ in answers] == [200] * 64 + [503] * 6
    assert "too many long requests" in answers[-1][1]["error"]
