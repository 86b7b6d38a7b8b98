"""Hostile clients of a running service without a proxy: slow, silent, greedy, too many."""

import contextlib
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from tests.botify.redis_server import RedisServer
from tests.faults.served import (
    TIMEOUT_S,
    TRACKS,
    Load,
    Published,
    Served,
    logged_answers,
    serve,
)
from tests.waiting import wait_until

HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /next/7 HTTP/1.1\r\nHost: botify\r\n"
GOOD = b'Content-Length: 22\r\n\r\n{"track":1,"time":0.5}'
HALF = HEAD + b'Content-Length: 22\r\n\r\n{"track":1'
# HTTP/2 in the clear: the preface, empty SETTINGS, and the heads of four `POST /next/5`, without
# their bodies.
FIELDS = b"\x83\x86\x04\x07/next/5\x01\x01x\x0f\x0d\x0222"
H2C = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
H2C += b"".join(
    b"\x00\x00\x13\x01\x04\x00\x00\x00" + bytes([stream]) + FIELDS
    for stream in (1, 3, 5, 7)
)
UPGRADE = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
UNFINISHED = [
    b"",
    b"P",
    HEAD,
    HALF,
    HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"tra',
    HEAD + UPGRADE + b"HTTP2-Settings: AAMAAABk\r\n\r\n",
    H2C,
]
CHECKS = 5
BACKLOG = 1024  # connections that granian has the system queue
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(published: Published, folder: Path) -> Iterator[Served]:
    """Start a service that several attacks share."""
    with serve(published, folder / "log") as served:
        yield served


def assert_serves(served: Served) -> None:
    assert served.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
    assert served.ask("GET", "/health/live")[0] == 200
    assert served.is_ready()


@contextlib.contextmanager
def held(port: int, requests: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """Connections that sent something and are kept open."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for request in requests:
            client = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
            sockets.append(stack.enter_context(client))
            client.sendall(request)
        yield sockets


def post(path: bytes, document: object) -> bytes:
    body = orjson.dumps(document)
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + length + body


MANY = [{"user": user, "track": user % TRACKS, "time": 0.5} for user in range(10_000)]
TINY_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000
NEARLY_FULL = b"Content-Length: %d\r\n\r\n" % 2**20 + b" " * (2**20 - 1)
GREEDY = {
    "a large batch, read slowly": (post(b"/next", {"requests": MANY}), 2),
    "answers that nobody reads": (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500, 20),
    "tiny chunks": (HEAD + TINY_CHUNKS, 50),
    "bodies a byte short of the limit": (HEAD + NEARLY_FULL, 100),
    "long requests": (post(b"/assignments", {"users": list(range(10_000))}), 200),
}  # fmt: skip


def send_part(port: int, data: bytes, ended: threading.Event) -> None:
    """Send as much as the service takes, and read nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with client, contextlib.suppress(OSError):
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        while not ended.is_set() and data:
            with contextlib.suppress(TimeoutError):
                data = data[client.send(data) :]
        ended.wait()


@contextlib.contextmanager
def beside(
    target: Callable[..., None], count: int, *arguments: object
) -> Iterator[None]:
    """Run threads beside the block; the last argument of each is an event that ends it."""
    ended = threading.Event()
    threads = [
        threading.Thread(target=target, args=(*arguments, ended)) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("attack", GREEDY)
def test_health_is_answered_beside_greedy_clients(shared: Served, attack: str) -> None:
    data, count = GREEDY[attack]
    with beside(send_part, count, shared.port, data):
        for _ in range(CHECKS):
            assert shared.ask("GET", "/health/live")[0] == 200
            assert shared.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
        memory = max(worker.memory_info().rss for worker in shared.workers())
        assert memory <= 220 * 2**20, "bodies are bounded, and one batch takes 50 MiB"
    assert_serves(shared)


def test_unfinished_requests_hold_up_neither_others_nor_the_end(
    published: Published, tmp_path: Path
) -> None:
    """More of them than threads, of every kind."""
    log = tmp_path / "log"
    with serve(published, log, limits={"STOP_S": 1}) as served:
        with held(served.port, UNFINISHED * 4), Load(served.port, clients=2) as load:
            load.wait_for(200)
            assert served.stop() == 0
        assert set(load.statuses) == {200}
    assert not list(log.glob(".events-*")), "a segment is still open"
    logged = logged_answers(log)
    assert not Counter(load.answers) - logged
    # the service may end before it answers
    most = len(load.answers) + load.clients
    assert logged.total() <= most, "nothing unfinished was logged"


def read_all(connection: socket.socket) -> bytes:
    content = b""
    while part := connection.recv(4096):
        content += part
    return content


def test_unfinished_and_idle_connections_are_closed_in_time(
    published: Published, tmp_path: Path
) -> None:
    limits = {"HEADER_S": 2.0, "BODY_S": 2.0}
    with (
        serve(published, tmp_path / "log", limits=limits) as served,
        held(served.port, [b"", HEAD, HALF, HEALTH]) as sockets,
    ):
        answers = [read_all(client).split(b"\r\n")[0] for client in sockets]
    late = b"HTTP/1.1 408 Request Timeout"
    assert answers == [b"", b"", late, b"HTTP/1.1 200 OK"]


def test_a_full_pool_with_a_full_backlog_empties_in_time(
    published: Published, tmp_path: Path
) -> None:
    """More silent connections than the process keeps and the system queues."""
    limits = {"CONNECTIONS": 64, "HEADER_S": 0.1}
    with (
        serve(published, tmp_path / "log", limits=limits) as served,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(64 + BACKLOG + 50):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", served.port))
        wait_until(served.is_ready, "a connection")
        assert served.stop() == 0


def test_health_is_answered_while_every_thread_waits(
    published: Published, tmp_path: Path, own_redis: RedisServer
) -> None:
    """A Redis that hangs holds up the threads; the bound on waiting for it is long here."""
    with serve(published, tmp_path / "log", redis_url=own_redis.url) as served:
        assert_serves(served)
        own_redis.pause()
        with held(served.port, [HEAD + GOOD] * 8) as sockets:
            for _ in range(CHECKS):
                assert served.ask("GET", "/health/live")[0] == 200
            assert select.select(sockets, [], [], 0)[0] == [], "they still wait"
            own_redis.resume()
            for client in sockets:
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
