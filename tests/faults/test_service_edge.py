"""Hostile clients of a running service: slow, silent, speaking another protocol, too many; and TLS."""

import contextlib
import datetime
import ipaddress
import resource
import select
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.botify.redis_server import RedisServer
from tests.faults.served import Load, Published, Served, clients, logged_answers, serve

HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /next/7 HTTP/1.1\r\nHost: botify\r\n"
# HTTP/2 in the clear: the preface, empty SETTINGS, and the heads of four `POST /next/5`, without their bodies.
FIELDS = b"\x83\x86\x04\x07/next/5\x01\x01x\x0f\x0d\x0222"
H2C = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
H2C += b"".join(
    b"\x00\x00\x13\x01\x04\x00\x00\x00" + bytes([stream]) + FIELDS
    for stream in (1, 3, 5, 7)
)
UNFINISHED = [
    b"",
    b"P",
    HEAD,
    HEAD + b'Content-Length: 22\r\n\r\n{"track":1',
    HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"tra',
    HEAD
    + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    H2C,
]


@contextlib.contextmanager
def held(port: int, requests: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """Connections that sent something and are kept open."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for request in requests:
            sockets.append(
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", port), timeout=60)
                )
            )
            sockets[-1].sendall(request)
        yield sockets


def assert_serves(served: Served) -> None:
    assert served.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
    assert served.ask("GET", "/health/live")[0] == 200
    assert served.ask("GET", "/health/ready")[0] == 200


def test_unfinished_requests_hold_up_neither_others_nor_the_end(
    published: Published, tmp_path: Path
) -> None:
    """More of them than threads, of every kind."""
    with serve(published, tmp_path / "log", threads=2, stop_grace_s=5) as served:
        with held(served.port, UNFINISHED * 4), Load(served.port, clients(2)) as load:
            assert_serves(served)
            load.wait_for(200)
            assert served.stop() == 0
        assert set(load.statuses) == {200}
        assert "killed" not in served.errors.read_text()
    assert not list((tmp_path / "log").glob(".events-*")), "a segment is still open"
    logged = logged_answers(tmp_path / "log")
    assert not Counter(load.answers) - logged
    assert logged.total() <= len(load.answers) + 1, "nothing unfinished was logged"


def test_requests_sent_without_waiting_are_answered_in_their_order(
    published: Published, tmp_path: Path
) -> None:
    """Health checks have a thread of their own, and come no earlier for that; then the client sends no more."""
    requests = []
    for user in range(40):
        requests.append(
            HEAD.replace(b"/7", b"/%d" % user)
            + b'Content-Length: 22\r\n\r\n{"track":1,"time":0.5}'
        )
        requests.append(HEALTH)
    with (
        serve(published, tmp_path / "log") as served,
        held(served.port, [b"".join(requests)]) as (connection,),
    ):
        connection.shutdown(socket.SHUT_WR)
        answers = read_all(connection).split(b"HTTP/1.1 ")[1:]
    assert {answer[:3] for answer in answers} == {b"200"}
    assert [b'"status"' in answer for answer in answers] == [False, True] * 40
    bodies = [orjson.loads(answer.split(b"\r\n\r\n")[1]) for answer in answers[::2]]
    assert [body["user"] for body in bodies] == list(range(40))


def test_unfinished_and_idle_connections_are_closed_in_time(
    published: Published, tmp_path: Path
) -> None:
    limits = {"header_s": 0.2, "body_s": 0.2, "idle_s": 0.2}
    requests = [b"", HEAD, HEAD + b"Content-Length: 22\r\n\r\n{", HEALTH]
    with (
        serve(published, tmp_path / "log", http=limits) as served,
        held(served.port, requests) as sockets,
    ):
        answers = [read_all(client).split(b"\r\n")[0] for client in sockets]
    assert answers == [
        b"",
        b"HTTP/1.1 408 Request Timeout",
        b"HTTP/1.1 408 Request Timeout",
        b"HTTP/1.1 200 OK",
    ]


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(4096):
        found += part
    return found


def test_thousands_of_idle_connections_leave_room_for_others(
    published: Published, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        with (
            serve(published, tmp_path / "log") as served,
            held(served.port, [b""] * 2049),
        ):
            assert_serves(served)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_of_too_many_connections_the_longest_idle_is_closed(
    published: Published, tmp_path: Path
) -> None:
    with (
        serve(published, tmp_path / "log", http={"client_connections": 3}) as served,
        held(served.port, [HEALTH] * 3) as sockets,
    ):
        for client in sockets:
            assert client.recv(4096)
        first, second, third = sockets
        first.sendall(HEALTH)
        assert first.recv(4096)
        assert_serves(served)  # over new connections, one after another
        assert second.recv(4096) == b""
        first.sendall(HEALTH)
        assert first.recv(4096)
        third.close()


def test_health_is_answered_while_every_thread_waits(
    published: Published, tmp_path: Path, own_redis: RedisServer
) -> None:
    """A Redis that hangs holds up the threads; the bound on waiting for it is long here."""
    with serve(
        published, tmp_path / "log", threads=2, redis_url=own_redis.url
    ) as served:
        assert_serves(served)
        own_redis.pause()
        request = HEAD + b'Content-Length: 22\r\n\r\n{"track":1,"time":0.5}'
        with held(served.port, [request] * 8) as sockets:
            for _ in range(20):
                assert served.ask("GET", "/health/live")[0] == 200
            assert select.select(sockets, [], [], 0)[0] == [], "they still wait"
            own_redis.resume()
            for client in sockets:
                assert client.recv(4096).startswith(b"HTTP/1.1 200")


def make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(pem) + private)
    return file


def test_with_a_certificate_the_service_speaks_tls(
    published: Published, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    served = Served(published, tmp_path / "log", http={"certificate": str(certificate)})
    served.context = ssl.create_default_context(cafile=str(certificate))
    try:
        served.start()
        assert_serves(served)
        assert served.stop() == 0
    finally:
        served.kill()
