"""Requests that are not what the service expects: heads, framing, bodies and addresses."""

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
GOOD = b'{"track":1,"time":0.5}'
LENGTH = b"Content-Length: 22\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HEAD = b"POST /next/7 HTTP/1.1\r\nHost: botify\r\n"
SENT = LENGTH + b"\r\n" + GOOD
IN_CHUNKS = b"\r\n16\r\n" + GOOD + b"\r\n0\r\n\r\n"
# what an attacker hides in the body of another request
HIDDEN = HEAD.replace(b"/7", b"/666") + SENT


def with_length(length: bytes, body: bytes = GOOD) -> bytes:
    return HEAD + b"Content-Length: " + length + b"\r\n\r\n" + body


def chunked(chunks: bytes) -> bytes:
    return HEAD + CHUNKED + b"\r\n" + chunks


def with_start(line: bytes) -> bytes:
    return HEAD.replace(b"POST /next/7 HTTP/1.1", line) + SENT


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
    b"\x00" * 100, b"POST\r\n\r\n", b"POST /next/7 HTTP/9.9\r\nHost: x\r\n\r\n",
    *map(with_start, (b"POST /next/7 HTP/1.1", b"POST /next/7 http/1.1", b"POST next/7 HTTP/1.1",
    b"POST  /next/7  HTTP/1.1", b"POST\t/next/7\tHTTP/1.1", b"POST /next/7 HTTP/1.10",
    b"PO(ST /next/7 HTTP/1.1", b"POST /next/\xff HTTP/1.1", b"POST /next/7\x00 HTTP/1.1",
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1", b"POST /a/../next/7 HTTP/1.1")),
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    b"POST /next/7 HTTP/1.1\r\n" + SENT, HEAD + b"Host: y\r\n" + SENT,
    HEAD.replace(b"botify", b"a b") + SENT, HEAD.replace(b"Host", b" Host") + SENT,
    *(HEAD + line + b"\r\n" + SENT for line in (b"X: " + b"a" * 1_000_000, b"x:y\r\n" * 5_000,
    b"X: a\x00b", b"X\x00: a", b"no colon", b": no name", b"X Y: v", b"X: a\r\n b",
    b"X: a\rContent-Length: 0")),
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 160,  # TLS
    # credentials come in the head
    b"POST /admin/reload HTTP/1.1\r\nHost: x\r\n" + CHUNKED
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
    with_start(b"POST http://x/next/7 HTTP/1.1"), with_start(b"POST /next/7#a HTTP/1.1"),
    HEAD + b"Content_Length: 5\r\n" + SENT, b"\r\n\r\n" + HEAD + SENT,
    (HEAD + SENT).replace(b"\r\n", b"\n"), b"POST /next/7 HTTP/1.0\r\n" + SENT,
    b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
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
