"""Requests that are not what the service expects: bodies and addresses."""

import random as python_random
from collections.abc import Iterator

import orjson

VALUES = [
    b"null", b"true", b'"1"', b"1.5", b"-1", b"NaN", b"Infinity", b"-Infinity", b"1e999",
    b"1e-999", b"99999999",
    b"9223372036854775808", b"9" * 400, b"-0.0000001", b"1.0000001", b"[]", b"{}", b"[1]",
    b'{"a":1}', b"01", b"0x1",
    b"+1", b".5", b"1.", b"'1'", b"", b"nul", b'"\\ud800"', b"[" * 5000, b'{"a":' * 3000,
]  # fmt: skip
WHOLE = [
    b"", b" ", b"\x00", b"null", b"[]", b"[1,2]", b'"track"', b"7", b"{", b"}", b"{}}",
    b'{"track":1,"time":0.5',
    b"\xff\xfe",
    b'{"track":1,"time":0.5}x', b'{"track":1 "time":0.5}', b'{"track":1,,"time":0.5}',
    b'{"track":1,"time":0.5,}',
    b'{"track":1,"time":0.5,"\xff":1}', b'{"track":1,"time":0.5,"user":1}',
    b'{"tr\xc3\x28ck":1,"time":0.5}',
    b'\xef\xbb\xbf{"track":1,"time":0.5}', b"track=1&time=0.5", b"{'track':1,'time':0.5}",
    b"[" * 100_000,
    b'{"a":' * 50_000, b'{"track":1,"time":0.5}' * 2,
    b'{"requests":[{"user":1,"track":1,"time":0.5}]}',
    b'{"requests":{}}', b'{"requests":[[]]}', b'{"requests":[null]}', b'{"requests":[{"user":1}]}',
    b'{"requests":[{"user":1,"track":1,"time":0.5}],"requests":[]}', b'{"requests":[]}',
    b"x" * 2_000_000,
]  # fmt: skip
PATHS = ["/next/1", "/last/1"]
BATCH_PATHS = ["/next", "/last", "/assignments"]
WRONG_PATHS = [
    "/next/-1", "/next/1.5", "/next/one", "/next/%00", "/next/1/2", "/next/" + "9" * 30,
    "/last/NaN", "/next//1",
    "/next/%ff", "/last/\u0663", "/next/9223372036854775808", "/track/-1", "/track/99999999",
    "/track/x",
    "/admin", "/../etc",
]  # fmt: skip


def malformed_bodies(
    rng: python_random.Random, tracks: int
) -> Iterator[tuple[str, bytes]]:
    """Addresses, and bodies that are not what is expected there, by a service of so many tracks."""
    unknown = b"%d" % tracks
    values = [*VALUES, unknown]
    for body in WHOLE:
        yield from ((path, body) for path in PATHS if path)
        if not body.startswith(b'{"requests":[{"user":1,"track":1,"time":0.5}]}'):
            yield from ((path, body) for path in BATCH_PATHS)
    while True:
        wrong, kind = rng.choice(values), rng.randrange(5)
        fields = {b"track": b"1", b"time": b"0.5", b"user": b"1"}
        if kind < 2:
            del fields[b"user"]
        damaged = rng.choice(sorted(fields))
        fields[damaged] = wrong
        order = rng.sample(sorted(fields), len(fields))
        text = b"{" + b",".join(b'"%s":%s' % (key, fields[key]) for key in order) + b"}"
        if (damaged != b"time" and wrong in {unknown, b"99999999"}) or (
            damaged == b"time" and wrong == b"1e-999"
        ):
            continue  # that is an id, and a share of nothing
        if kind < 2:
            yield rng.choice(PATHS), text
        elif kind == 2:
            yield (
                rng.choice(BATCH_PATHS),
                b'{"requests":[{"user":1,"track":1,"time":1},%s]}' % text,
            )
        elif kind == 3:  # bytes lost or changed in a good body
            good = bytearray(orjson.dumps({"track": 1, "time": 0.5}))
            at = rng.randrange(len(good))
            damage = rng.choice([b"", b"\xff", b"\x00", b'"', b"{", b"\\"])
            if damage == good[at : at + 1]:
                continue
            good[at : at + 1] = damage
            yield rng.choice(PATHS), bytes(good)
        else:
            yield rng.choice(BATCH_PATHS), text
