"""Ten thousand malformed requests: none gives a 5xx, none is logged."""

import random as python_random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from flask.testing import FlaskClient

from botify.app import create_app
from botify.service import Service
from botify.serving import load, make_service
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue

TRACKS = 40
REQUESTS = 10_000

VALUES = [
    b"null", b"true", b'"1"', b"1.5", b"-1", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e-999", b"40", b"99999999",
    b"9223372036854775808", b"9" * 400, b"-0.0000001", b"1.0000001", b"[]", b"{}", b"[1]", b'{"a":1}', b"01", b"0x1",
    b"+1", b".5", b"1.", b"'1'", b"", b"nul", b'"\\ud800"', b"[" * 5000, b'{"a":' * 3000,
]  # fmt: skip
WHOLE = [
    b"", b" ", b"\x00", b"null", b"[]", b"[1,2]", b'"track"', b"7", b"{", b"}", b"{}}", b'{"track":1,"time":0.5',
    b"\xff\xfe",
    b'{"track":1,"time":0.5}x', b'{"track":1 "time":0.5}', b'{"track":1,,"time":0.5}', b'{"track":1,"time":0.5,}',
    b'{"track":1,"track":1,"time":0.5}', b'{"time":0.1,"track":1,"time":0.5}',
    b'{"tr\\u0061ck":1,"track":2,"time":0.5}',
    b'{"track":1,"time":0.5,"\xff":1}', b'{"track":1,"time":0.5,"user":1}', b'{"tr\xc3\x28ck":1,"time":0.5}',
    b'\xef\xbb\xbf{"track":1,"time":0.5}', b"track=1&time=0.5", b"{'track':1,'time':0.5}", b"[" * 100_000,
    b'{"a":' * 50_000, b'{"track":1,"time":0.5}' * 2, b'{"requests":[{"user":1,"track":1,"time":0.5}]}',
    b'{"requests":{}}', b'{"requests":[[]]}', b'{"requests":[null]}', b'{"requests":[{"user":1}]}',
    b'{"requests":[{"user":1,"track":1,"time":0.5}],"requests":[]}', b'{"requests":[]}', b"x" * 2_000_000,
]  # fmt: skip
PATHS = ["/next/1", "/last/1"]
BATCH_PATHS = ["/next", "/last"]
WRONG_PATHS = [
    "/next/-1", "/next/1.5", "/next/one", "/next/%00", "/next/1/2", "/next/" + "9" * 30, "/last/NaN", "/next//1",
    "/next/%ff", "/last/\u0663", "/next/9223372036854775808", "/track/-1", "/track/40", "/track/x", "/admin", "/../etc",
]  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    catalogue = write_catalogue(tmp_path / "tracks.json", [track // 5 for track in range(TRACKS)])
    publish(tmp_path, "one", random_lists(5, TRACKS), catalogue=catalogue)
    settings = make_settings(tmp_path, catalogue)
    service = make_service(settings, load(settings))
    yield service
    service.close()


def malformed_bodies(rng: python_random.Random) -> Iterator[tuple[str, bytes]]:
    """Addresses, and bodies that are not what is expected there."""
    for body in WHOLE:
        yield from ((path, body) for path in PATHS if path)
        if not body.startswith(b'{"requests":[{"user":1,"track":1,"time":0.5}]}'):
            yield from ((path, body) for path in BATCH_PATHS)
    while True:
        wrong, kind = rng.choice(VALUES), rng.randrange(5)
        fields = {b"track": b"1", b"time": b"0.5", b"user": b"1"}
        if kind < 2:
            del fields[b"user"]
        damaged = rng.choice(sorted(fields))
        fields[damaged] = wrong
        order = rng.sample(sorted(fields), len(fields))
        text = b"{" + b",".join(b'"%s":%s' % (key, fields[key]) for key in order) + b"}"
        if (damaged == b"user" and wrong in {b"40", b"99999999"}) or (damaged == b"time" and wrong == b"1e-999"):
            continue  # that is a listener, and a share of nothing
        if kind < 2:
            yield rng.choice(PATHS), text
        elif kind == 2:
            yield rng.choice(BATCH_PATHS), b'{"requests":[{"user":1,"track":1,"time":1},%s]}' % text
        elif kind == 3:  # bytes lost or changed in a good body
            good = bytearray(orjson.dumps({"track": 1, "time": 0.5}))
            place = rng.randrange(len(good))
            damage = rng.choice([b"", b"\xff", b"\x00", b'"', b"{", b"\\"])
            if damage == good[place : place + 1]:
                continue
            good[place : place + 1] = damage
            yield rng.choice(PATHS), bytes(good)
        else:
            yield rng.choice(BATCH_PATHS), text


def test_ten_thousand_malformed_requests_give_no_5xx_and_no_event(service: Service) -> None:
    client = create_app(service).test_client()
    rng = python_random.Random(7)  # noqa: S311  which damage, not a secret
    statuses: Counter[int] = Counter()
    for (path, body), _ in zip(malformed_bodies(rng), range(REQUESTS), strict=False):
        answer = client.post(path, data=body)
        statuses[answer.status_code] += 1
        assert answer.status_code in {400, 413}, (path, body[:200], answer.data)
        assert answer.json is not None
        assert answer.json["error"]
    assert statuses.total() == REQUESTS
    _nothing_logged(service)


def test_wrong_addresses_and_methods_give_no_5xx_and_no_event(service: Service) -> None:
    client: FlaskClient = create_app(service).test_client()
    for path in WRONG_PATHS:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = client.open(path, method=method, data=b'{"track":1,"time":0.5}')
            assert 300 <= answer.status_code < 500 or (method == "OPTIONS" and answer.status_code == 200), path
    _nothing_logged(service)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999999", "\u0663"])
def test_a_wrong_content_length_gives_no_5xx(service: Service, length: str) -> None:
    client = create_app(service).test_client()
    answer = client.post("/next/1", data=b"{}", environ_overrides={"CONTENT_LENGTH": length})
    assert 400 <= answer.status_code < 500
    _nothing_logged(service)


def _nothing_logged(service: Service) -> None:
    service.close()
    assert list(service.settings.log_dir.iterdir()) == []
