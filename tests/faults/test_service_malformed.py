"""Malformed requests to a running service, over its socket: broken bodies and broken HTTP."""

import http.client
import itertools
import random as python_random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from tests.faults.malformed import (
    GOOD,
    HEAD,
    ODD_HTTP,
    SENT,
    WRONG_HTTP,
    WRONG_PATHS,
    chunked,
    malformed_bodies,
    with_length,
)
from tests.faults.served import (
    TRACKS,
    Answer,
    Served,
    logged_answers,
    publish_first,
    read_events,
    serve,
)
from tests.faults.test_service_compose import Nginx
from tests.programs import is_open
from tests.waiting import wait_until

BODIES, BROKEN = 3_000, 250
REFUSED = {100, *range(400, 500)}  # 100: go on, and let us see
REFUSED_HTTP = {*range(400, 500), 501, 505}
WRONG_METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "FROB", "OPTIONS")
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CLOSING = HEAD + b"Connection: close\r\n"
# The client hangs up before its end.
CUT_OFF = [
    *(with_length(b"%d" % length) for length in (23, 1_000, 100_000)),
    *(chunked(chunks) for chunks in (b"", b"17\r\n" + GOOD[:-1], b"16\r\n" + GOOD[:5],
    b"16;x=" + b"y" * 5000)),
    b"", b"\r\n\r\n", b"{}", HEAD, HEAD + b"Expect: 100-continue\r\nContent-Length: 22\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip


def broken_requests(rng: python_random.Random) -> Iterator[tuple[bytes, bool]]:
    """Yield requests with bytes cut off or changed, and which are cut off."""
    yield from ((request, True) for request in CUT_OFF)
    good = CLOSING + SENT
    while True:
        yield good[: rng.randrange(len(good))], True
        damaged = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(b"POST /next/"))] = rng.randrange(256)
        if not damaged.upper().startswith(b"POST /NEXT/"):
            yield bytes(damaged), False


def answers_of(
    port: int, request: bytes, *, is_cut_off: bool = False
) -> list[tuple[int, bytes]]:
    """Send bytes, and return the status and the rest of each answer until the end."""
    with closing(
        socket.create_connection(("127.0.0.1", port), timeout=60)
    ) as connection:
        answer = b""
        try:
            connection.sendall(request)
            if is_cut_off:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                answer += part
        except TimeoutError:
            raise
        except OSError:
            pass  # refused, and the connection closed, before all of it was read
    _, *parts = re.split(rb"HTTP/1\.[01] (\d{3})", answer)
    return [
        (int(status), rest)
        for status, rest in zip(parts[::2], parts[1::2], strict=True)
    ]


def statuses_of(port: int, request: bytes, *, is_cut_off: bool = False) -> set[int]:
    return {status for status, _ in answers_of(port, request, is_cut_off=is_cut_off)}


def test_no_malformed_request_desynchronises_the_service_or_nginx(
    tmp_path: Path,
) -> None:
    """A health check follows on the connection: it is answered as such, or not at all."""
    published = publish_first(tmp_path / "published")
    table = [(request, REFUSED_HTTP) for request in WRONG_HTTP]
    table += [(request, {200}) for request in ODD_HTTP]
    assert len(table) >= 60
    answered = 0
    with serve(published, tmp_path / "log") as served:
        nginx = Nginx(tmp_path, [served.port])
        process = nginx.start()
        try:
            wait_until(lambda: is_open(nginx.port), "nginx to listen")
            for port in (served.port, nginx.port):
                for request, allowed in table:
                    if port == nginx.port:
                        allowed = {200, *REFUSED_HTTP}
                    found = answers_of(port, request + HEALTH)
                    if not found and port == nginx.port:
                        continue
                    (status, rest), *others = found
                    assert status in allowed, (request[:200], found)
                    answered += status == 200 and b'"track"' in rest
                    # what is left over of a body is no request
                    assert all(
                        b'"status"' in rest or status == 400 for status, rest in others
                    ), (request[:200], found)
        finally:
            process.terminate()
            process.wait(timeout=60)
        assert served.stop() == 0
    logged = read_events(tmp_path / "log")
    assert [(event.user, event.track) for event in logged] == [(7, 1)] * answered
    assert "Traceback" not in served.errors.read_text()


def test_malformed_requests_give_no_5xx_and_no_event_and_the_service_goes_on(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    with serve(published, tmp_path / "log") as served:
        workers = {process.pid for process in served.workers()}
        rng = python_random.Random(11)  # noqa: S311  which damage, not a secret
        assert send_bodies(served, rng).keys() <= {400, 413}
        send_wrong_addresses_and_methods(served)
        answered = 0
        for request, is_cut_off in islice(broken_requests(rng), BROKEN):
            statuses = statuses_of(served.port, request, is_cut_off=is_cut_off)
            assert statuses <= REFUSED, (request[:200], statuses)
            answered += bool(statuses)
        assert answered > BROKEN // 4
        assert {process.pid for process in served.workers()} == workers, (
            "no worker died"
        )
        status, answer = served.ask("POST", "/next/7", {"track": 1, "time": 0.5})
        assert status == 200
        assert served.ask("GET", "/health/ready")[0] == 200
        assert served.stop() == 0
    assert logged_answers(tmp_path / "log") == Counter(
        [Answer(7, 1, 0.5, answer["track"])]
    ), "this one alone"
    assert "Traceback" not in served.errors.read_text()


def send_bodies(served: Served, rng: python_random.Random) -> Counter[int]:
    """Send broken bodies in good HTTP, a third of them chunked, over kept connections."""
    statuses: Counter[int] = Counter()
    with closing(
        http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    ) as connection:
        for number, (path, body) in enumerate(
            islice(malformed_bodies(rng, TRACKS), BODIES)
        ):
            try:
                connection.request(
                    "POST", path, iter([body]) if number % 3 == 0 else body
                )
                with connection.getresponse() as answer:
                    assert b'"error"' in answer.read()
                    statuses[answer.status] += 1
                    assert answer.status in REFUSED, (path, body[:200])
                if answer.status == 413:  # the server closes then, sooner or later
                    connection.close()
            except ConnectionError:  # refused before all of it was read
                assert len(body) > 2**20
                connection.close()
    assert statuses.total() > BODIES - 50
    return statuses


def send_wrong_addresses_and_methods(served: Served) -> None:
    for method, path in itertools.product(
        WRONG_METHODS, ("/next/7", "/last/7", "/next", "/last")
    ):
        statuses = statuses_of(
            served.port,
            (CLOSING + SENT).replace(b"POST /next/7", f"{method} {path}".encode()),
        )
        assert statuses == {405}, (method, path)
    for path in WRONG_PATHS:
        statuses = statuses_of(
            served.port, (CLOSING + SENT).replace(b"/next/7", path.encode())
        )
        assert statuses <= REFUSED, path
