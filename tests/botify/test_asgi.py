import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from botify.app import make_app
from botify.asgi import AsgiMessage, BufferedApp
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


def make_buffered(app: Any, body_s: float = 60) -> BufferedApp:  # noqa: ANN401  any WSGI application
    return BufferedApp(app, lambda: None, threads=1, body_s=body_s, body_limit=900)


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
    make_service: MakeService,
    messages: list[AsgiMessage],
    status: int,
    error: str | None,
) -> None:
    service = make_service(body_limit_bytes=2000, hosts=["botify"])
    flask = make_app(service)
    app = BufferedApp(
        flask,
        service.close,
        lambda status: service.metrics.refusals.labels(str(status)).inc(),
        threads=1,
        body_s=0.2,
        body_limit=2000,
    )
    answered, answer = asyncio.run(ask(app, *messages))
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
    # a body of known length is taken as soon as it is there
    length = (b"content-length", b"%d" % len(BODY))
    assert asyncio.run(ask(buffered, part(BODY), header=length)) == (200, {})
    assert seen["wsgi.input"].read() == BODY


def answer_nothing(_: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    start(*OK)
    return [b"{}"]


def test_the_largest_of_too_many_bodies_are_refused() -> None:
    """Half-sent bodies that nobody finishes leave room for a small one."""
    app, large = make_buffered(answer_nothing, body_s=1), b"x" * 899

    async def flood() -> list[Answer]:
        unfinished = [ask(app, part(large)) for _ in range(20)]
        return await asyncio.gather(*unfinished, ask(app, part(BODY, more=False)))

    *large_answers, small_answer = asyncio.run(flood())
    assert small_answer == (200, {})
    assert [status for status, _ in large_answers] == [408] * 8 + [503] * 12
    assert "too many large bodies" in large_answers[-1][1]["error"]
    status, _ = asyncio.run(ask(app, part(large, more=False)))
    assert status == 200, "all are forgotten"


def test_of_too_many_long_requests_the_last_are_refused_and_short_ones_pass() -> None:
    short_answered = threading.Event()

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        if environ["PATH_INFO"] == "/assignments":
            assert short_answered.wait(60)
        return answer_nothing(environ, start)

    app, whole = make_buffered(answer), part(BODY, more=False)

    async def flood() -> list[Answer]:
        asked = [ask(app, whole, raw_path=b"/assignments") for _ in range(70)]
        long = asyncio.gather(*asked)
        assert await ask(app, whole) == (200, {})
        short_answered.set()
        return await long

    answers = asyncio.run(flood())
    assert [status for status, _ in answers] == [200] * 64 + [503] * 6
    assert "too many requests" in answers[-1][1]["error"]
