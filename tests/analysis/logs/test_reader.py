"""Every line of an event log has one outcome, the one that parsing it alone has."""

import gzip
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.errors import EventLogError
from analysis.logs import reader as event_log
from analysis.logs.fields import EVENT_SCHEMA, IdKinds
from analysis.logs.files import LogFile, discover
from analysis.logs.lines import (
    TORN,
    LineCounts,
    event_row,
    id_kinds,
    parse_line,
)
from analysis.store import number_of

START_MS = 1_767_225_600_000
EVENT: dict[str, Any] = {
    "message": "next",
    "timestamp": START_MS,
    "user": 7,
    "track": 11,
    "time": 0.73,
    "latency": 0.000208,
    "recommendation": 12,
    "experiments": {"AA": "C", "REC": "T1"},
    "session": "random-1-0",
    "recommender": "random",
    "propensity": 2e-05,
    "request": 3,
}
COLUMNS = tuple(EVENT)


def text(**changes: object) -> str:
    """An event's line with some values replaced; `...` leaves the key out."""
    return json.dumps(
        {key: value for key, value in (EVENT | changes).items() if value is not ...}
    )


def raw(key: str, token: str) -> str:
    """An event's line in which a key has a token that is not JSON as Python writes it."""
    return text(**{key: "@@"}).replace('"@@"', token)


@dataclass(frozen=True)
class Loaded:
    """A log as the reader gives it: rows, counts, and (line, reason) of each reject."""

    rows: list[dict[str, Any]]
    lines: LineCounts
    rejects: list[tuple[int, str]]


Load = Callable[..., Loaded]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("logs")

    def read(content: bytes | str, name: str = "events.jsonl") -> Loaded:
        file = folder / name
        packed = content.encode() if isinstance(content, str) else content
        file.write_bytes(
            gzip.compress(packed, mtime=0) if name.endswith(".gz") else packed
        )
        log = LogFile(file, name)
        return read_all([log])[1][log]

    return read


def read_all(logs: list[LogFile]) -> tuple[list[dict[str, Any]], dict[LogFile, Loaded]]:
    """All events of some logs in their order, and the logs one by one."""
    found = {log: Loaded([], LineCounts(), []) for log in logs}
    rows: list[dict[str, Any]] = []
    for part in event_log.read(logs, event_log.kinds_of(logs)):
        before = found[part.file]
        rows += part.events.to_pylist()
        rejects = [(reject.line, reject.reason) for reject in part.rejects]
        found[part.file] = Loaded(
            before.rows + part.events.to_pylist(),
            before.lines + part.lines,
            before.rejects + rejects,
        )
    return rows, found


def is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (ValueError, msgspec.DecodeError):
        return False
    return True


def reference(content: bytes) -> Loaded:
    """The same by the exact reader alone, line by line."""
    rows, rejects, blank = [], [], 0
    kinds = id_kinds(io.BytesIO(content)) or IdKinds()
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    is_whole = lines[-1] == b""
    lines = lines[:-1] if is_whole else lines
    if content and not lines:
        lines = [b""]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            blank += 1
            continue
        try:
            event = parse_line(line.removesuffix(b"\r"), kinds=kinds)
        except ValueError as error:
            is_torn = number == len(lines) and not is_whole and not is_json(line)
            rejects.append((number, TORN if is_torn else str(error)))
            continue
        row = event_row(event)
        ids = {
            key: number_of(row[key])
            for key in ("user", "track", "recommendation")
            if isinstance(row[key], str)
        }
        rows.append(row | ids)
    return Loaded(rows, LineCounts(len(lines), len(rows), len(rejects), blank), rejects)


GOOD = {
    "as the simulator writes": text(),
    "compact": json.dumps(EVENT, separators=(",", ":")),
    "the end of a session": text(
        message="last", recommendation=None, recommender=None, propensity=None
    ),
    "of the original service": text(session=..., recommender=..., propensity=...),
    "no latency": text(latency=...),
    "no experiment runs": text(experiments={}),
    "many experiments": text(experiments={f"E{number}": "T1" for number in range(200)}),
    "an arm that is a comma": text(experiments={"AA": ","}),
    "experiments in another order": text(experiments={"REC": "T1", "AA": "C"}),
    "optional keys null": text(
        latency=None, session=None, recommender=None, propensity=None, experiments=None
    ),
    "an unknown key": text(extra={"a": [1, None, "x"]}),
    "a name beyond ASCII": text(session="séance", recommender="рекомендатель"),
    "a name with escapes": text(
        session='a "b" \\ \n \u0001 \u0000', recommender="a\tb"
    ),
    "the largest id": text(user=2**63 - 1),
    "negative latency": text(latency=-0.5),
    "the smallest values": text(user=0, track=0, time=0, latency=0, recommendation=0),
    "a share in exponent form": raw("time", "73e-2"),
    "keys in another order": json.dumps(dict(reversed(EVENT.items()))),
    "white space around": f"  {text()}\t",
    "a carriage return": f"{text()}\r",
    "a key given twice": text().replace('"user": 7', '"user": 9, "user": 7'),
    "a key in escapes": text().replace('"user"', '"us\\u0065r"'),
    "a key in capitals beside": text(USER="x"),
    "an arm given twice": text().replace('"AA": "C"', '"AA": "T9", "AA": "C"'),
    "a bad byte in an unknown key": text(extra="@@").encode().replace(b"@@", b"\xff"),
}

BAD = {
    "text for an id": (text(user="7"), "Expected `int`, got `str` - at `$.user`"),
    "text for a share": (text(time="0.5"), "Expected `float`, got `str` - at `$.time`"),
    "a flag for an id": (text(user=True), "Expected `int`, got `bool` - at `$.user`"),
    "a fraction for an id": (
        text(user=1.5),
        "Expected `int`, got `float` - at `$.user`",
    ),
    "a decimal point in an id": (
        text(user=7.0),
        "Expected `int`, got `float` - at `$.user`",
    ),
    "an exponent in an id": (
        raw("user", "7e0"),
        "Expected `int`, got `float` - at `$.user`",
    ),
    "a leading zero": (raw("user", "07"), "not JSON"),
    "a negative id": (text(user=-1), "Expected `int` >= 0 - at `$.user`"),
    "twenty digits": (
        raw("user", "12345678901234567890"),
        "Expected `int` <= 9223372036854775807 - at `$.user`",
    ),
    "a bad value before a good one": (
        text().replace('"user": 7', '"user": "7", "user": 7'),
        "got `str` - at `$.user`",
    ),
    "a missing id": (text(user=...), "Object missing required field `user`"),
    "a null id": (text(user=None), "Expected `int`, got `null` - at `$.user`"),
    "a list for an id": (text(user=[7]), "Expected `int`, got `array` - at `$.user`"),
    "a share below 0": (text(time=-0.1), "Expected `float` >= 0.0 - at `$.time`"),
    "a share above 1": (text(time=1.01), "Expected `float` <= 1.0 - at `$.time`"),
    "no number": (text(time=math.nan), "not JSON"),
    "infinity": (text(latency=math.inf), "not JSON"),
    "a number too large": (
        raw("latency", "1e400"),
        "Number out of range - at `$.latency`",
    ),
    "propensity 0": (text(propensity=0), "Expected `float` > 0.0 - at `$.propensity`"),
    "propensity above 1": (
        text(propensity=1.5),
        "Expected `float` <= 1.0 - at `$.propensity`",
    ),
    "seconds for milliseconds": (
        text(timestamp=START_MS // 1000),
        "Expected `int` >= 100000000000 - at `$.timestamp`",
    ),
    "another message": (
        text(message="skip"),
        "Invalid enum value 'skip' - at `$.message`",
    ),
    "no message": (text(message=...), "Object missing required field `message`"),
    "a session without a name": (
        text(session=""),
        "Expected `str` of length >= 1 - at `$.session`",
    ),
    "a number for a session": (
        text(session=5),
        "Expected `str | null`, got `int` - at `$.session`",
    ),
    "a list of experiments": (
        text(experiments=[]),
        "Expected `object | null`, got `array` - at `$.experiments`",
    ),
    "a number for an arm": (
        text(experiments={"AA": 1}),
        "Expected `str`, got `int` - at `$.experiments[...]`",
    ),
    "text for a recommendation": (
        text(recommendation="12"),
        "Expected `int | null`, got `str` - at `$.recommendation`",
    ),
    "a list": ("[1,2]", "Expected `object`, got `array`"),
    "garbage": ("%$#!", "not JSON"),
    "a cut line": (text()[:60], "not JSON"),
    "two events in a line": (f"{text()}{text()}", "not JSON"),
    "a comma at the end": (text()[:-1] + ",}", "not JSON"),
    "a comma in experiments": (text().replace('"T1"}', '"T1",}'), "not JSON"),
    "no number in an unknown key": (text(extra=math.nan), "not JSON"),
    "a comment": (f"{text()} // why", "not JSON"),
    "a zero byte": (f"{text()}\0", "not JSON"),
    "bytes that are not UTF-8": (
        text(session="@@").encode().replace(b"@@", b"\xff"),
        "not UTF-8",
    ),
    "half a surrogate pair": (raw("session", '"\\ud800"'), "not JSON"),
    "a tab within a name": (raw("session", '"a\tb"'), "not JSON"),
    "ten megabytes": (
        text(extra="x" * 10_000_000),
        "bytes long; a line may have 1048576",
    ),
    "a deep nest": (
        raw("session", "[" * 2000 + "]" * 2000),
        "Expected `str | null`, got `array` - at `$.session`",
    ),
    "a deep unknown key": (
        text(extra="@@").replace('"@@"', "[" * 200_000 + "]" * 200_000),
        "nested too deeply",
    ),
    "a mark in the middle": (f"\ufeff{text()}", "not JSON"),
}


@pytest.mark.parametrize("latency", [2.6e6, -2.6e6, 1e300])
def test_a_latency_that_cannot_be_is_left_out_and_the_event_counts(
    load: Load, latency: float
) -> None:
    loaded = load(f"{text(latency=latency)}\n")
    assert loaded.lines == LineCounts(read=1, good=1, rejected=0, blank=0)
    assert loaded.rows[0]["latency"] is None


@pytest.mark.parametrize("line", GOOD.values(), ids=GOOD.keys())
def test_an_event_is_read_with_its_values_unchanged(
    load: Load, line: str | bytes
) -> None:
    content = line.encode() if isinstance(line, str) else line
    loaded = load(content + b"\n")
    assert loaded.lines == LineCounts(read=1, good=1, rejected=0, blank=0)
    assert repr(loaded.rows) == repr(reference(content).rows)


@pytest.mark.parametrize(("line", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_rejected_with_its_number_and_reason_and_the_others_are_read(
    load: Load, line: str | bytes, reason: str
) -> None:
    content = line.encode() if isinstance(line, str) else line
    good = text().encode()
    loaded = load(good + b"\n" + content + b"\n" + good + b"\n")
    assert loaded.lines == LineCounts(read=3, good=2, rejected=1, blank=0)
    ((number, found),) = loaded.rejects
    assert number == 2
    assert reason in found


@pytest.mark.parametrize(
    "odd",
    ["", '"quoted" [one]\n', "zoë \u0000"],
    ids=["typed", "escaped", "beyond ASCII"],
)
@pytest.mark.parametrize(
    "kinds",
    [IdKinds(users=True), IdKinds(tracks=True), IdKinds(users=True, tracks=True)],
)
def test_text_ids_become_the_numbers_of_stores_and_ids_of_another_kind_are_rejected(
    load: Load, kinds: IdKinds, odd: str
) -> None:
    users: list[Any] = (
        [f"u{number}{odd}" for number in range(4)] if kinds.users else [5, 6, 7, 8]
    )
    tracks: list[Any] = (
        [f"{number:x}-{odd}" for number in range(5)]
        if kinds.tracks
        else [1, 2, 3, 4, 5]
    )
    rows = list(zip(users, tracks, tracks[1:], strict=False))
    lines = [
        text(user=user, track=track, recommendation=following)
        for user, track, following in rows
    ]
    wrong = [
        text(),
        text(user="", track=""),
        text(user="x", track="y", recommendation=""),
    ]
    loaded = load("\n".join([*lines, *wrong]))
    assert loaded.lines == LineCounts(read=7, good=4, rejected=3, blank=0)
    assert {line for line, _ in loaded.rejects} == {5, 6, 7}
    expected = [
        tuple(number_of(found) if isinstance(found, str) else found for found in row)
        for row in rows
    ]
    assert [
        (row["user"], row["track"], row["recommendation"]) for row in loaded.rows
    ] == expected
    assert load("\n".join(lines)).rows == loaded.rows


@pytest.mark.parametrize("blank", [b"", b" ", b"\t", b"\r", b"  \r"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_blank_line_is_counted_and_nothing_else(
    load: Load, blank: bytes, position: int
) -> None:
    lines = [text().encode()] * 2
    lines.insert(position, blank)
    assert load(b"\n".join(lines) + b"\n").lines == LineCounts(
        read=3, good=2, rejected=0, blank=1
    )


def test_a_log_without_the_last_line_end_is_whole(load: Load) -> None:
    assert load(f"{text()}\n{text(user=8)}").lines == LineCounts(
        read=2, good=2, rejected=0, blank=0
    )


@pytest.mark.parametrize("cut", [1, 17, 40, 60, 120, 200])
def test_a_torn_last_line_is_rejected_as_such(load: Load, cut: int) -> None:
    loaded = load(f"{text()}\n{text()[:cut]}")
    assert loaded.lines == LineCounts(read=2, good=1, rejected=1, blank=0)
    assert loaded.rejects == [(2, TORN)]


def test_a_whole_last_line_with_a_bad_value_keeps_its_reason(load: Load) -> None:
    assert load(f"{text()}\n{text(time=2)}").rejects == [
        (2, "Expected `float` <= 1.0 - at `$.time`")
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]
)
def test_a_log_without_events_is_empty(load: Load, content: bytes) -> None:
    loaded = load(content)
    assert loaded.rows == []
    assert loaded.lines.good == loaded.lines.rejected == 0
    assert loaded.lines.read == loaded.lines.blank


def test_a_byte_order_mark_may_open_a_log(load: Load) -> None:
    assert load(b"\xef\xbb\xbf" + text().encode() + b"\n").lines == LineCounts(
        read=1, good=1, rejected=0, blank=0
    )


def test_windows_line_ends_are_line_ends(load: Load) -> None:
    loaded = load(f"{text()}\r\n\r\n{text(user='7')}\r\n{text()}\r\n")
    assert loaded.lines == LineCounts(read=4, good=2, rejected=1, blank=1)


@pytest.mark.parametrize("damage", ["", "\n", "garbage\n", text(user="7")])
def test_a_gzipped_log_is_read_as_the_log_is(load: Load, damage: str) -> None:
    content = f"{text()}\n{text(user=8)}\n{damage}"
    plain, packed = load(content), load(content, "events.jsonl.gz")
    assert packed.lines == plain.lines
    assert packed.rejects == plain.rejects
    assert packed.rows == plain.rows


def test_rejects_keep_the_line_as_it_was(tmp_path: Path) -> None:
    lines = [b"garb\xc3\xa4ge", b"\xff\xfe", b"{" + b"x" * 5000, "é".encode() * 2049]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    (found,) = event_log.read(discover([file]))
    first, second, third, fourth = found.rejects
    assert (first.file, first.line, first.bytes, first.text) == (
        str(file),
        1,
        8,
        "garbäge",
    )
    assert (second.text, second.base64) == (None, "//4=")
    assert (third.bytes, third.text) == (5001, "{" + "x" * 4095)
    assert (fourth.bytes, fourth.text) == (4098, "é" * 2048)


KEYS = (*COLUMNS, "extra")
WHOLE = ("0", "1", "7", "-0", "-1", "01", "+1", "9007199254740993")
FRACTIONS = ("0.5", "1.0", "7.5", "1.", ".5", "1e-7", "1e-17")
EXPONENTS = ("1e0", "1e3", "1e17", "1e18", "123456789e9")
NUMBERS = WHOLE + FRACTIONS + EXPONENTS
LARGE = (
    "1e400",
    "-1e400",
    "1e-400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "9" * 23,
)
WORDS = (
    '"7"',
    '"0.5"',
    '""',
    '"next"',
    '"last"',
    '"a"',
    '"\\u0041"',
    '"\\ud800"',
    '"a\\u0000b"',
    '"x,}"',
    '"NaN"',
)
LITERALS = (
    "true",
    "false",
    "null",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "-inf",
    "nul",
    "[]",
    "[1,]",
    "[[1]]",
    "{}",
)
OBJECTS = (
    '{"b":"x","a":"y"}',
    '{"a":"x",}',
    '{"a":"x", "a":"y"}',
    '{"a":1}',
    '{"a":null}',
    '{"a":{}}',
    '{"\\u0061": "\\n"}',
)
TIMES = (str(START_MS), f"{START_MS}.0", f"{START_MS}000", "1767225600")
tokens = st.sampled_from(NUMBERS + LARGE + WORDS + LITERALS + OBJECTS + TIMES)


@st.composite
def log_lines(draw: st.DrawFn) -> bytes:
    """A line: an event, or one with a few changes of the kinds that logs suffer."""
    members = {key: json.dumps(value) for key, value in EVENT.items()}
    members["user"] = str(draw(st.integers(0, 3)))
    members |= draw(
        st.dictionaries(
            st.sampled_from(KEYS), tokens, max_size=draw(st.sampled_from([0, 0, 1, 2]))
        )
    )
    for key in draw(
        st.lists(st.sampled_from(COLUMNS), max_size=draw(st.sampled_from([0, 0, 2])))
    ):
        members.pop(key, None)
    pairs = [
        f'"{key}"{draw(st.sampled_from([":", ": ", " : "]))}{token}'
        for key, token in members.items()
    ]
    pairs += (
        draw(
            st.lists(
                st.sampled_from(pairs), max_size=draw(st.sampled_from([0, 0, 0, 1]))
            )
        )
        if pairs
        else []
    )
    line = ("{" + draw(st.sampled_from([",", ", "])).join(pairs) + "}").encode()
    kind = draw(
        st.sampled_from(
            ["whole"] * 6 + ["byte", "cut", "blank", "return", "comma", "twice"]
        )
    )
    position = draw(st.integers(0, len(line)))
    changes = {
        "byte": line[:position]
        + draw(st.binary(min_size=1, max_size=2)).replace(b"\n", b"")
        + line[position:],
        "cut": line[:position],
        "blank": draw(st.sampled_from([b"", b" ", b"\t \r"])),
        "return": line + b"\r",
        "comma": line[:-1] + draw(st.sampled_from([b",}", b" , }", b",\t}"])),
        "twice": line + line,
    }
    return changes.get(kind, line)


def assert_agree(load: Load, content: bytes) -> None:
    """Compare the rows, counts and rejects of a log with those of the exact reader alone."""
    loaded, expected = load(content), reference(content)
    assert (loaded.lines, loaded.rejects) == (expected.lines, expected.rejects), content
    assert repr(loaded.rows) == repr(expected.rows), content


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(log_lines(), max_size=4),
    ending=st.sampled_from([b"\n", b"\n", b"", b"\r\n"]),
)
@example(lines=[raw("user", "-0").encode()], ending=b"\n")
@example(lines=[raw("latency", "1e-400").encode()], ending=b"\n")
def test_every_log_is_read_as_its_lines_are_alone(
    load: Load, lines: list[bytes], ending: bytes
) -> None:
    assert_agree(load, b"\n".join(lines) + ending)


@pytest.mark.parametrize("token", NUMBERS + LARGE + WORDS + LITERALS + OBJECTS + TIMES)
def test_every_value_of_every_key_is_read_as_it_is_alone(
    load: Load, token: str
) -> None:
    # track and recommender have the rules of user and session
    for key in set(KEYS) - {"track", "recommender"}:
        line = raw(key, token)
        if key not in EVENT:
            line = f"{text()[:-1]}, {json.dumps(key)}: {token}}}"
        assert_agree(load, f"{text()}\n{line}\n{text(message='last')}\n".encode())


DIGITS = "0123456789abcdfABCDF"
BASES = [
    text(),
    json.dumps(EVENT, separators=(",", ":")),
    text(message="last", recommendation=None, recommender=None, propensity=None),
    text(experiments={"E1": "T1", "user": "C2"}),
    text(session="sé1", latency=1e5, time=1e-5),
    text(session='1\\"A\u0001'),
    text(extra=[1, 2]),
    text(extra={"user": 3, "x1": -1.5e5}),
    text(user1="9"),
    text(lateny="9", latency=...),
    text(session=..., session1=5, extra=False, more=None),
    text().replace('"user": 7', '"us1er": 7, "user": 5'),
]
EDGES = (
    ".",
    "-",
    "e",
    "E",
    "+",
    '"',
    ",",
    ":",
    " ",
    "{",
    "}",
    "[",
    "]",
    "\\",
    "null",
    "NaN",
    "\0",
    "\r",
)


@st.composite
def kindred_lines(draw: st.DrawFn) -> bytes:
    """A log whose lines differ in few characters, most often digits."""
    base = draw(st.sampled_from(BASES))
    lines = [base]
    for _ in range(draw(st.integers(1, 2))):
        line = base
        for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
            digits = [
                position
                for position, character in enumerate(line)
                if character in DIGITS
            ]
            position = (
                draw(st.sampled_from(digits))
                if draw(st.booleans())
                else draw(st.integers(0, len(line)))
            )
            new = draw(st.sampled_from(("", *DIGITS, "00", "9" * 20) * 2 + EDGES))
            line = (
                line[:position] + new + line[position + draw(st.sampled_from([0, 1])) :]
            )
        lines.append(line)
    return "\n".join(draw(st.permutations(lines))).encode() + b"\n"


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=kindred_lines())
def test_lines_that_differ_in_hexadecimal_digits_are_read_as_they_are_alone(
    load: Load, content: bytes
) -> None:
    assert_agree(load, content)


@pytest.mark.parametrize(
    ("exact", "alike"),
    [
        (text(extra=[1, 2]), text(extra=[1, 2]).replace("[1, 2]", "[1, ]")),
        (text(user1="9"), text(user1="9").replace('"user1": "9"', '"user": "9"')),
        (text(aser="9"), text().replace('"user": 7', '"user": 7, "\\u0075ser": "9"')),
        (text(), text().replace('"user"', '"us1er"')),
        (text(session=..., session1=5), text(session=5)),
        (text(latency=..., lateny="5"), text(latency="5")),
        (text(extra=False), raw("extra", "lse")),
        (text(message="next"), text(message="nextc")),
        (text(session="a1"), text(session="a1").replace('"session"', '"session1"')),
        (text(session="1"), text(session="")),
        (text(user=7), raw("user", "07")),
        (text(latency=1e5), raw("latency", "1e400")),
    ],
)
def test_a_line_like_a_good_one_but_for_hexadecimal_digits_may_be_bad(
    load: Load, exact: str, alike: str
) -> None:
    assert_agree(load, f"{exact}\n{alike}\n".encode())


@settings(max_examples=30, deadline=None)
@given(
    times=st.lists(
        st.floats(0, 1).filter(lambda value: value == 0 or value > 1e-300),
        min_size=1,
        max_size=20,
    )
)
def test_decimals_are_read_to_the_nearest_double(
    load: Load, times: list[float]
) -> None:
    rows = load(
        "".join(f"{text(time=time, latency=1e5 * time)}\n" for time in times)
    ).rows
    assert sorted((row["time"], row["latency"]) for row in rows) == sorted(
        (time, 1e5 * time) for time in times
    )


def write(file: Path, content: str = f"{text()}\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    write(tmp_path / "ev1.jsonl", f"{text(user=1)}\n")
    odd = write(tmp_path / "ev[1]*?'.jsonl", f"{text(user=2)}\n")
    rows, _ = read_all(discover([odd]))
    assert [row["user"] for row in rows] == [2]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(text().encode() * 50)[:-12],
        b"no gzip",
        gzip.compress(b"", mtime=0)[:5],
    ],
)
def test_a_damaged_gzip_file_is_an_error_that_names_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(EventLogError, match=r"a\.jsonl\.gz: a damaged gzip file"):
        read_all(discover([file]))


def test_a_bad_file_among_good_ones_spoils_no_other(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.jsonl", f"{text(user=number)}\n" * 3)
    write(tmp_path / "2.jsonl", f"{text(user=2)}\n\ngarbage\n")
    rows, found = read_all(discover([tmp_path]))
    assert [log.lines.good for log in found.values()] == [3, 3, 1, 3, 3]
    assert [row["user"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4]


def test_lines_across_chunks_are_read_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        text(user=user, experiments={"T": "x" * (user % 7)}) for user in range(300)
    ]
    lines[150] = "garbage"
    lines[250] = text(user=250, extra=[1, 2])
    content = "\n".join(lines)
    for size in (100, 601, 1021, 1 << 16):
        monkeypatch.setattr(event_log, "CHUNK_BYTES", size)
        rows, found = read_all([LogFile(write(tmp_path / "log.jsonl", content), "log")])
        assert [row["user"] for row in rows] == [*range(150), *range(151, 300)]
        (log,) = found.values()
        assert log.lines == LineCounts(read=300, good=299, rejected=1)
        assert log.rejects[0][0] == 151


def test_a_line_over_many_chunks_is_rejected_with_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "CHUNK_BYTES", 1 << 16)
    long = text(extra="x" * 3_000_000)
    for ending in ("", "\n", f"\n{text()}\n"):
        file = write(tmp_path / "log.jsonl", f"{text()}\n{long}{ending}")
        parts = list(event_log.read([LogFile(file, "log")]))
        (reject,) = [reject for part in parts for reject in part.rejects]
        assert (reject.line, reject.bytes) == (2, len(long))
        assert sum(part.lines.read for part in parts) == 2 + (len(ending) > 1)


def test_the_events_of_logs_are_written_to_files(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", f"{text()}\n{text(user=8)}\n")
    (file,) = event_log.write_events(discover([log]), tmp_path)
    table = pq.read_table(file)
    assert table.schema.equals(EVENT_SCHEMA)
    assert table["user"].to_pylist() == [7, 8]
