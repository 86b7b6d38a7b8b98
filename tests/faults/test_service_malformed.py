"""Bodies framed wrongly, sent to a running service and to nginx in front of it."""

import re
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.nginx import nginx
from tests.faults.served import TIMEOUT_S, Published, read_events, serve

GOOD = b'{"track":1,"time":0.5}'
LENGTH = b"Content-Length: 22\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NAMES = {"server_name localhost": "server_name botify x localhost"}
HEAD = b"POST /next/7 HTTP/1.1\r\nHost: botify\r\n"
SENT = LENGTH + b"\r\n" + GOOD
IN_CHUNKS = b"\r\n16\r\n" + GOOD + b"\r\n0\r\n\r\n"
# what an attacker hides in the body of another request
HIDDEN = HEAD.replace(b"/7", b"/666") + SENT


def with_length(length: bytes, body: bytes = GOOD) -> bytes:
    return HEAD + b"Content-Length: " + length + b"\r\n\r\n" + body


def chunked(chunks: bytes) -> bytes:
    return HEAD + CHUNKED + b"\r\n" + chunks


def with_coding(coding: bytes) -> bytes:
    return HEAD + coding + b"\r\n" + IN_CHUNKS


# Refused, as RFC 9112 has it; nginx reads a few of them, each as one request.
WRONG_HTTP = [
    *map(with_length, (b"-1", b"x", b"1e3", b"", b"+22", b"0x16", b"9" * 40, b"22, 23", b"\xb2",
    b"2 2", b"22;", b"22\x0b", b"22, 22")),
    *(with_length(b"%d" % length) for length in (0, 1, 5, 21)),  # what is left over is no request
    with_length(b"1048577", b"x" * 1048577),
    HEAD + LENGTH + b"Content-Length: 23\r\n\r\n" + GOOD,
    HEAD + b"Content-Length : 22\r\n\r\n" + GOOD, HEAD + b"\r\n" + GOOD,
    HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    *map(with_coding, (b"Transfer-Encoding: gzip", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity\r\n" + CHUNKED[:-2],
    CHUNKED + b"Transfer-Encoding: identity", CHUNKED + CHUNKED[:-2],
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked", b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding:\r\n chunked")),
    b"POST /next/7 HTTP/1.0\r\n" + CHUNKED + IN_CHUNKS,
    *(chunked(chunks) for chunks in (
        b"0\r\n\r\n", b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n", b"-1\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"+16\r\n" + GOOD + b"\r\n0\r\n\r\n", b"0x16\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b" 16\r\n" + GOOD + b"\r\n0\r\n\r\n", b"16\r" + GOOD + b"\r\n0\r\n\r\n",
        b"16\n" + GOOD + b"\n0\n\n", b"16\r\n" + GOOD + b"0\r\n\r\n",
        b"16\r\n" + GOOD + b"XX0\r\n\r\n", b'16;a="b\r\n"\r\n' + GOOD + b"\r\n0\r\n\r\n",
        b"16;a=" + b"b" * 20_000 + b"\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"f" * 17 + b"\r\n" + GOOD, b"5\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"17\r\n" + GOOD + b"\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"\r\n0\r\n\r\n",
        b"16\r\n" + GOOD + b"\r\n0\r\nno colon\r\n\r\n", b"1\r\n{\r\n" * 500 + b"0\r\n\r\n",
    )),
    # credentials come in the head
    b"DELETE /listeners/7 HTTP/1.1\r\nHost: x\r\n" + CHUNKED
    + b"\r\n0\r\nAuthorization: Bearer secret\r\n\r\n",
]  # fmt: skip
# Odd, and answered; nginx refuses a few of them.
ODD_HTTP = [
    HEAD + SENT, chunked(IN_CHUNKS[2:]), with_length(b"022"), with_length(b"22 "),
    HEAD + LENGTH + SENT, HEAD + LENGTH + CHUNKED + IN_CHUNKS,
    with_coding(b"Transfer-Encoding:\tchunked"), with_coding(b"TRANSFER-ENCODING: CHUNKED"),
    HEAD + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"
    + SENT,
    chunked(b"16\r\n" + GOOD + b"\r\n0\r\nContent-Length: 400\r\n\r\n"),
    chunked(b"16;a=b\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    chunked(b"0" * 20 + b"16\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    HEAD + b"Content_Length: 5\r\n" + SENT, b"\r\n\r\n" + HEAD + SENT,
    (HEAD + SENT).replace(b"\r\n", b"\n"), b"POST /next/7 HTTP/1.0\r\n" + SENT,
    b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
]  # fmt: skip
REFUSED = {*range(400, 500), 501, 505}
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def answers_of(port: int, requests: bytes) -> list[tuple[int, bytes]]:
    """Send bytes, and return the status and the rest of each answer until the end."""
    address, answer = ("127.0.0.1", port), b""
    with closing(socket.create_connection(address, TIMEOUT_S)) as connection:
        try:
            connection.sendall(requests)
            while part := connection.recv(1 << 16):
                answer += part
        except ConnectionError:
            pass  # refused, and the connection closed, before all of it was read
    _, *parts = re.split(rb"HTTP/1\.[01] (\d{3})", answer)
    return list(zip(map(int, parts[::2]), parts[1::2], strict=True))


@pytest.mark.slow
def test_no_malformed_request_desynchronises_the_service_or_nginx(
    published: Published, tmp_path: Path
) -> None:
    """A health check follows on the connection: it is answered as such, or not at all."""
    table = [(request, REFUSED) for request in WRONG_HTTP]
    table += [(request, {200}) for request in ODD_HTTP]
    answered = 0
    with (
        serve(published, tmp_path / "log") as served,
        nginx(tmp_path, [served.port], changes=NAMES) as front,
    ):
        workers = {worker.pid for worker in served.workers()}
        for port in (served.port, front.port):
            for request, allowed in table:
                answers = answers_of(port, request + HEALTH)
                if port == front.port:
                    allowed = {200, *REFUSED}
                    if not answers:
                        continue
                (status, rest), *further = answers
                assert status in allowed, (request[:200], answers)
                answered += status == 200 and b'"track"' in rest
                # what is left over of a body is no request
                assert all(
                    b'"status"' in rest or status == 400 for status, rest in further
                ), (request[:200], answers)
        assert {worker.pid for worker in served.workers()} == workers, "none died"
        assert served.stop() == 0
    events = read_events(tmp_path / "log")
    assert [(event.user, event.track) for event in events] == [(7, 1)] * answered
    assert "Traceback" not in served.errors.read_text()
