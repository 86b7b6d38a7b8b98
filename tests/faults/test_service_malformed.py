"""Malformed requests to a running service, over its socket: broken bodies and broken HTTP."""

import http.client
import itertools
import random as python_random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from tests.faults.malformed import WRONG_PATHS, malformed_bodies
from tests.faults.served import (
    TRACKS,
    Answer,
    Served,
    logged_answers,
    publish_first,
    serve,
)

BODIES, BROKEN = 3_000, 300
GOOD = b'{"track":1,"time":0.5}'
HEAD = b"POST /next/7 HTTP/1.1\r\nHost: botify\r\nConnection: close\r\n"
REFUSED = {100, *range(400, 500)}  # 100: go on, and let us see
WRONG_METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "FROB", "OPTIONS")


def with_length(length: bytes, body: bytes = GOOD) -> bytes:
    return HEAD + b"Content-Length: " + length + b"\r\n\r\n" + body


def chunked(chunks: bytes) -> bytes:
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


# Whole, as far as that can be said: it is answered, or the connection closed.
WRONG = [
    *(with_length(length) for length in (b"-1", b"x", b"1e3", b"", b"+22", b"0x16", b"9" * 40,
    b"22, 23", b"\xb2")),
    *(with_length(b"%d" % length) for length in (0, 1, 5, 21)),  # what is left over is no request
    with_length(b"1048577", b"x" * 1048577),
    HEAD + b"Content-Length: 22\r\nContent-Length: 23\r\n\r\n" + GOOD,
    HEAD + b"Content-Length: 23\r\nTransfer-Encoding: chunked\r\n\r\n" + GOOD,
    HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + GOOD,
    HEAD + b"\r\n" + GOOD,
    *(chunked(chunks) for chunks in (
        b"0\r\n\r\n", b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n", b"-1\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"f" * 17 + b"\r\n" + GOOD, b"5\r\n" + GOOD + b"\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n",
        b"1\r\n{\r\n" * 500 + b"0\r\n\r\n",
    )),
    b"\x00" * 100, b"POST\r\n\r\n", b"POST /next/7\r\n\r\n", b"POST /next/7 HTTP/9.9\r\n\r\n",
    b"POST /next/7 HTP/1.1\r\n\r\n", b"POST  /next/7  HTTP/1.1\r\n\r\n",
    b"POST next/7 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /next/\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /next/7\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    HEAD + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", HEAD + b"x:y\r\n" * 5_000 + b"\r\n",
    HEAD + b"X: a\x00b\r\n\r\n",
    HEAD + b"no colon\r\n\r\n", HEAD + b": no name\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 160,  # TLS
]  # fmt: skip
# The client hangs up before its end.
CUT_OFF = [
    *(with_length(b"%d" % length) for length in (23, 1_000, 100_000)),
    *(chunked(chunks) for chunks in (b"", b"17\r\n" + GOOD[:-1], b"16\r\n" + GOOD[:5],
    b"16;x=" + b"y" * 5000)),
    b"", b"\r\n\r\n", b"{}", HEAD, HEAD + b"Expect: 100-continue\r\nContent-Length: 22\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip


def broken_requests(rng: python_random.Random) -> Iterator[tuple[bytes, bool]]:
    """Yield broken requests, then good ones with bytes changed or cut off; and which are cut."""
    yield from ((request, False) for request in WRONG)
    yield from ((request, True) for request in CUT_OFF)
    good = with_length(b"22")
    while True:
        yield good[: rng.randrange(len(good))], True
        damaged = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(b"POST /next/"))] = rng.randrange(256)
        if not damaged.upper().startswith(b"POST /NEXT/"):
            yield bytes(damaged), False


def statuses_of(port: int, request: bytes, *, is_cut_off: bool = False) -> set[int]:
    """Send bytes, and return the statuses of all answers before the connection ends."""
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
    return {
        int(line.split()[1])
        for line in answer.splitlines()
        if line.startswith(b"HTTP/")
    }


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
            with_length(b"22").replace(b"POST /next/7", f"{method} {path}".encode()),
        )
        assert statuses == {405}, (method, path)
    for path in WRONG_PATHS:
        statuses = statuses_of(
            served.port, with_length(b"22").replace(b"/next/7", path.encode())
        )
        assert statuses <= REFUSED, path
