"""Every line of an event log has the outcome of parsing it alone."""

import json
import math
from pathlib import Path

import pytest

from analysis.logs import reader as event_log
from analysis.logs.field_types import IdKinds
from analysis.logs.files import discover
from analysis.logs.lines import LineCounts
from tests.analysis.logs.lines import (
    EVENT,
    START_MS,
    Load,
    outcome,
    raw,
    read_all,
    text,
    write,
)

GOOD = {
    "as the simulator writes": text(),
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
    "a name with escapes": text(
        session='a "b" \\ \n \u0001 \u0000', recommender="a\tb"
    ),
    "the largest id": text(user=2**63 - 1),
    "the smallest values": text(user=0, track=0, time=0, latency=0, recommendation=0),
    "a share in exponent form": raw("time", "73e-2"),
    "keys in another order": json.dumps(dict(reversed(EVENT.items()))),
    "white space around": f"  {text()}\t",
    "a carriage return": f"{text()}\r",
    "a key in escapes": text().replace('"user"', '"us\\u0065r"'),
    "a key in capitals beside": text(USER="x"),
    "a bad byte in an unknown key": text(extra="@@").encode().replace(b"@@", b"\xff"),
}

TWICE = text().replace('"user": 7', '"user": 7, "user": 9')
BAD = {
    "a leading zero": (raw("user", "07"), "not JSON"),
    "a negative id": (text(user=-1), "Expected `int` >= 0 - at `$.user`"),
    "twenty digits": (
        raw("user", "12345678901234567890"),
        "Expected `int` <= 9223372036854775807 - at `$.user`",
    ),
    "a missing id": (text(user=...), "Object missing required field `user`"),
    "a share above 1": (text(time=1.01), "Expected `float` <= 1.0 - at `$.time`"),
    "no number": (text(time=math.nan), "not JSON"),
    "propensity 0": (text(propensity=0), "Expected `float` > 0.0 - at `$.propensity`"),
    "seconds for milliseconds": (
        text(timestamp=START_MS // 1000),
        "Expected `int` >= 100000000000 - at `$.timestamp`",
    ),
    "another message": (
        text(message="skip"),
        "Invalid enum value 'skip' - at `$.message`",
    ),
    "a session without a name": (
        text(session=""),
        "Expected `str` of length >= 1 - at `$.session`",
    ),
    "a list of experiments": (
        text(experiments=[]),
        "Expected `object | null`, got `array` - at `$.experiments`",
    ),
    "a number for an arm": (
        text(experiments={"AA": 1}),
        "Expected `str`, got `int` - at `$.experiments[...]`",
    ),
    "garbage": ("%$#!", "not JSON"),
    "a zero byte": (f"{text()}\0", "not JSON"),
    "bytes that are not UTF-8": (
        text(session="@@").encode().replace(b"@@", b"\xff"),
        "not UTF-8",
    ),
    "half a surrogate pair": (raw("session", '"\\ud800"'), "not JSON"),
    "a tab within a name": (raw("session", '"a\tb"'), "not JSON"),
    "a deep nest": (
        raw("session", "[" * 2000 + "]" * 2000),
        "Expected `str | null`, got `array` - at `$.session`",
    ),
    "a mark in the middle": (f"\ufeff{text()}", "not JSON"),
    "an infinite share": (raw("time", "1e400"), "Number out of range - at `$.time`"),
    "text for an id": (text(user="x"), "Expected `int`, got `str` - at `$.user`"),
    "a fraction for an id": (text(user=6.7), "Expected `int`, got `float` - at"),
    "a fraction that no double holds": (
        raw("track", "9007199254740993.0"),
        "Expected `int`, got `float` - at `$.track`",
    ),
    "a truth for an id": (text(user=True), "Expected `int`, got `bool` - at `$.user`"),
    "a number of programs": (text(track="0x10"), "Expected `int`, got `str`"),
    "a number with a mark": (text(recommendation="1_000"), "Expected `int | null`"),
    "a fraction for a request": (text(request=1.5), "Expected `int | null`, got"),
    "a field twice": (TWICE, "given twice - at `$.user`"),
    "a field twice, once by an escape": (
        text().replace('"user": 7', '"user": 7, "\\u0075ser": 7'),
        "given twice - at `$.user`",
    ),
    "an experiment twice": (
        raw("experiments", '{"AA": "C", "AA": "T1"}'),
        "given twice - at `$.experiments.AA`",
    ),
    "an object for a session": (text(session={"a": 1}), "Expected `str | null`, got"),
}
# lines that no writer makes, and the values that are read
LENIENT: dict[str, tuple[str, dict[str, object]]] = {
    "numbers in quotes": (text(user="7", time="0.5"), {"user": 7, "time": 0.5}),
    "a comma at the end": (text()[:-1] + ",}", {}),
    "no number in an unknown key": (text(extra=math.nan), {}),
    "a whole number with a fraction of 0": (text(user=7.0), {"user": 7}),
    "a whole number in exponent form": (raw("user", "70e-1"), {"user": 7}),
    "a number for a session": (text(session=5), {"session": "5"}),
    "an optional number that is none": (text(latency="x"), {"latency": None}),
    "a long line": (text(extra="x" * 10_000_000), {}),
}


@pytest.mark.parametrize("latency", [2.6e6, -2.6e6, 1e300])
def test_a_latency_that_cannot_be_is_left_out_and_the_event_counts(
    load: Load, latency: float
) -> None:
    loaded = load(f"{text(latency=latency)}\n")
    assert loaded.lines == LineCounts(read=1, good=1, rejected=0)
    assert loaded.rows[0]["latency"] is None


@pytest.mark.parametrize("line", GOOD.values(), ids=GOOD.keys())
def test_an_event_is_read_with_its_values_unchanged(
    load: Load, line: str | bytes
) -> None:
    content = line.encode() if isinstance(line, str) else line
    loaded = load(content + b"\n")
    assert loaded.lines == LineCounts(read=1, good=1, rejected=0)
    assert repr(loaded.rows) == repr([outcome(content, IdKinds())])


@pytest.mark.parametrize(("line", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_rejected_with_its_number_and_reason_and_the_others_are_read(
    load: Load, line: str | bytes, reason: str
) -> None:
    content = line.encode() if isinstance(line, str) else line
    good = text().encode()
    loaded = load(good + b"\n" + content + b"\n" + good + b"\n")
    assert loaded.lines == LineCounts(read=3, good=2, rejected=1)
    ((number, found),) = loaded.rejects
    assert number == 2
    assert reason in found


@pytest.mark.parametrize(("line", "values"), LENIENT.values(), ids=LENIENT.keys())
def test_a_line_that_no_writer_makes_may_be_read(
    load: Load, line: str, values: dict[str, object]
) -> None:
    alone = text(user=1, track=2)
    found = load(f"{alone}\n{line}").rows
    assert found[1:] == load(text(**values)).rows


@pytest.mark.parametrize(
    "odd",
    ["", '"quoted" [one]\n', "zoë \u0000"],
    ids=["typed", "escaped", "beyond ASCII"],
)
@pytest.mark.parametrize(
    "kinds",
    [IdKinds(users=True), IdKinds(tracks=True), IdKinds(users=True, tracks=True)],
)
def test_text_ids_become_the_numbers_of_stores_and_empty_ones_are_rejected(
    load: Load, kinds: IdKinds, odd: str
) -> None:
    users = [f"u{n}{odd}" if kinds.users else n for n in range(4)]
    tracks = [f"t{n}{odd}" if kinds.tracks else n for n in range(5)]
    lines = [
        text(user=user, track=track, recommendation=following)
        for user, track, following in zip(users, tracks, tracks[1:], strict=False)
    ]
    wrong = [text(user="", track=""), text(user="x", track="y", recommendation="")]
    loaded = load("\n".join([*lines, *wrong]))
    assert loaded.lines == LineCounts(read=6, good=4, rejected=2)
    assert {line for line, _ in loaded.rejects} == {5, 6}
    assert loaded.rows == [outcome(line.encode(), kinds) for line in lines]
    assert load("\n".join(lines)).rows == loaded.rows


@pytest.mark.parametrize(
    ("content", "good", "rejected"),
    [
        (f"{text()}\n{text(user=8)}", 2, 0),
        (f"\ufeff{text()}\n", 1, 0),
        (f"{text()}\r\n\r\n{text(user=None)}\r\n{text()}\r\n", 2, 1),
        *((content, 0, 0) for content in ("", "\n", "\n\n", "\ufeff", "\ufeff\n")),
    ],
)
def test_a_log_may_begin_and_its_lines_end_otherwise(
    load: Load, content: str, good: int, rejected: int
) -> None:
    loaded = load(content)
    assert len(loaded.rows) == good
    assert loaded.lines == LineCounts(good + rejected, good, rejected)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        *((text()[:cut], "not JSON: Input data was trunc") for cut in (1, 17, 60, 120)),
        (text(time=2), "Expected `float` <= 1.0 - at `$.time`"),
    ],
)
def test_a_last_line_that_is_torn_or_wrong_is_rejected_as_such(
    load: Load, last: str, reason: str
) -> None:
    loaded = load(f"{text()}\n{last}")
    assert loaded.lines == LineCounts(read=2, good=1, rejected=1)
    ((number, found),) = loaded.rejects
    assert (number, found[: len(reason)]) == (2, reason)


def test_rejects_keep_the_line_as_it_was(tmp_path: Path) -> None:
    lines = [b"garb\xc3\xa4ge", b"\xff\xfe", b"{" + b"x" * 5000, "é".encode() * 2049]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    (part,) = event_log.read([discover([file])])
    assert {reject.file for reject in part.rejects} == {str(file)}
    assert [(reject.line, reject.bytes, reject.text) for reject in part.rejects] == [
        (1, 8, "garbäge"),
        (2, 2, r"\xff\xfe"),
        (3, 5001, "{" + "x" * 4095),
        (4, 4098, "é" * 2048),
    ]


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    write(tmp_path / "ev1.jsonl", f"{text(user=1)}\n")
    odd = write(tmp_path / "ev[1]*?'.jsonl", f"{text(user=2)}\n")
    (loaded,) = read_all(discover([odd]))
    assert [row["user"] for row in loaded.rows] == [2]


def test_a_bad_file_among_good_ones_spoils_no_other(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.jsonl", f"{text(user=number)}\n" * 3)
    write(tmp_path / "2.jsonl", f"{text(user=2)}\n\ngarbage\n")
    users = [
        [row["user"] for row in log.rows] for log in read_all(discover([tmp_path]))
    ]
    assert users == [[0] * 3, [1] * 3, [2], [3] * 3, [4] * 3]


@pytest.mark.slow
def test_lines_of_a_long_log_are_read_in_their_order(tmp_path: Path) -> None:
    lines = [text(user=user, session=f"s\0{user % 7}") for user in range(120_000)]
    bad = {4: TWICE, 50_000: "garbage", 119_000: TWICE}
    for number, line in bad.items():
        lines[number] = line
    lines[110_000] = f"{text(user=110_000)}\n \r"
    lines[250] = text(user=250, latency=1e9)
    (log,) = read_all(discover([write(tmp_path / "log.jsonl", "\n".join(lines))]))
    users = [user for user in range(120_000) if user not in bad]
    assert [row["user"] for row in log.rows] == users
    assert log.lines == LineCounts(120_000, len(users), 3)
    assert [number for number, _ in log.rejects] == [5, 50_001, 119_002]
