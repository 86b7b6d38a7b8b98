"""The form of lines that are read as types: our writers write it, and whatever else is in such lines is found."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis import queries
from analysis.logs import fast_path as event_shape
from analysis.logs import reader as event_log
from analysis.logs.lines import parse_line
from analysis.logs.reader import LineCounts, LogFile
from botify.event_log import event_lines
from sim.collect.eventlog import Events, format_events
from tests.analysis.test_event_log import (
    COLUMNS,
    EVENT,
    LARGE,
    LITERALS,
    NUMBERS,
    OBJECTS,
    TIMES,
    WORDS,
    Load,
    normal,
    reference,
)
from tests.analysis.test_event_log import load as load  # the fixture


def line(**changes: object) -> bytes:
    """An event as our service writes it, with some values replaced."""
    return json.dumps(EVENT | changes, separators=(",", ":")).encode()


def raw(key: str, token: str) -> bytes:
    """The same with a key's value replaced by any text."""
    return line(**{key: "@@"}).replace(b'"@@"', token.encode())


LAST = line(message="last", recommendation=None, recommender=None, propensity=None)


def count(content: bytes) -> int | None:
    return event_shape.count_lines(io.BytesIO(content))


def test_the_service_writes_the_form() -> None:
    requests = [(7, 3, 0.25), (12345678, 49_999, 1.0)]
    outcomes = [("a-1", {"ALS": "T1", "AA": "C"}, 9, "als", 0.5), (None, {}, 8, "random", None)]
    ends = [("a-1", {"ALS": "T1"}, None, None, None), ("b", {}, None, None, None)]
    lines = event_lines("next", 1_767_225_600_000, 0.00052, requests, outcomes)
    lines += event_lines("last", 1_767_225_600_000, 8.5e-05, requests, ends)
    assert count(b"".join(lines)) == 4


def test_the_simulator_writes_the_form() -> None:
    events = Events(
        session=np.array([0, 1]),
        listener=np.array([5, 6]),
        length=np.array([2, 1]),
        timestamp=np.array([1_767_225_600_000] * 3),
        track=np.array([1, 2, 3]),
        hundredths=np.array([0, 55, 100]),
        propensity=np.array([2e-05, np.nan, np.nan]),
    )
    assert count(format_events(events, "random", "random-1-")) == 3


GOOD = {
    "an event": line(),
    "the end of a session": LAST,
    "no experiment runs": line(experiments={}),
    "many experiments": line(experiments={f"E{number}": "T1" for number in range(200)}),
    "an arm that is a comma": line(experiments={"AA": ","}),
    "optional keys null": line(latency=None, session=None, recommender=None, propensity=None, experiments=None),
    "a name with quotes and beyond ASCII": json.dumps(
        EVENT | {"session": 'sé"an\\ce'}, separators=(",", ":"), ensure_ascii=False
    ).encode(),
    "the largest ids": line(user=10**16 - 1, track=10**16 - 1, recommendation=10**16 - 1),
    "white space within experiments": line().replace(b'{"AA":"C"', b'{ "AA" : "C"'),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD.keys())
def test_a_line_in_the_form_is_read_as_types_with_its_values_unchanged(load: Load, good: bytes) -> None:
    assert count(good + b"\n") == 1
    loaded = load(good + b"\n")
    assert loaded.lines == LineCounts(read=1, good=1, rejected=0, blank=0)
    assert [normal(row) for row in loaded.rows] == [normal(row) for row in reference(good).rows]


OTHER = {
    "torn": line()[:-5],
    "without its end": line(),
    "a blank line": b"\n",
    "white space": json.dumps(EVENT).encode() + b"\n",
    "a carriage return": line() + b"\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + line() + b"\n",
    "another order": json.dumps(dict(reversed(EVENT.items())), separators=(",", ":")).encode() + b"\n",
    "a key left out": json.dumps({key: EVENT[key] for key in COLUMNS[:-1]}, separators=(",", ":")).encode() + b"\n",
    "a key more": line(extra=1) + b"\n",
    "a key given twice": line().replace(b'"track"', b'"user":7,"track"') + b"\n",
    "a key twice and another left out": line().replace(b'"track"', b'"user"') + b"\n",
    "a key in escapes": line().replace(b'"user"', b'"us\\u0065r"') + b"\n",
    "a hidden key after experiments": line(experiments={}).replace(b"{}", b'{},"x":{"a":NaN}') + b"\n",
    "a hidden key after no experiments": line(experiments=None).replace(
        b'"experiments":null', b'"experiments":null,"x":""'
    )
    + b"\n",
    "a comma before the brace": line()[:-1] + b",}\n",
    "a comma at the end of experiments": line().replace(b'"T1"}', b'"T1",}') + b"\n",
    "text for an id": line(user="7") + b"\n",
    "a flag for an id": line(user=True) + b"\n",
    "a fraction for an id": line(track=1.5) + b"\n",
    "an exponent in an id": raw("user", "7e0") + b"\n",
    "an exponent in a recommendation": raw("recommendation", "1e16") + b"\n",
    "twenty digits": raw("user", "1" * 20) + b"\n",
    "null for an id": line(user=None) + b"\n",
    "text for a share": line(time="0.5") + b"\n",
    "a share below 0": line(time=-0.5) + b"\n",
    "no number": raw("latency", "NaN") + b"\n",
    "a small nan": raw("propensity", "nan") + b"\n",
    "infinity": raw("latency", "-Infinity") + b"\n",
    "a number for a session": line(session=5) + b"\n",
    "a list for experiments": line(experiments=[]) + b"\n",
    "another message": line(message="skip") + b"\n",
    "two events in a line": line() + line() + b"\n",
    "ten megabytes": line(session="x" * 10_000_000) + b"\n",
}


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER.keys())
def test_another_line_is_told_from_the_form_wherever_it_stands(other: bytes) -> None:
    good = line() + b"\n" + LAST + b"\n"
    for content in (other, good + other, other + good if other.endswith(b"\n") else other):
        assert count(content) is None


@pytest.mark.parametrize("token", NUMBERS + LARGE + WORDS + LITERALS + OBJECTS + TIMES)
def test_every_value_of_every_key_is_read_as_the_exact_reader_reads_it(load: Load, token: str) -> None:
    for key in COLUMNS:
        content = line() + b"\n" + raw(key, token) + b"\n" + LAST + b"\n"
        loaded, expected = load(content), reference(content)
        assert (loaded.lines, loaded.rejects) == (expected.lines, expected.rejects), content
        assert sorted(map(normal, loaded.rows)) == sorted(map(normal, expected.rows)), content


FRAGMENTS = (
    *(
        b",",
        b'"',
        b"\\",
        b"{",
        b"}",
        b"{}",
        b" ",
        b"\r",
        b"\n",
        b"\0",
        b"\xff",
        b"0",
        b".",
        b"e",
        b"-",
        b"null",
        b"NaN",
    ),
    *(b'","', b'\\"', b'":"', b',"x":1', b',"x":{}', b',"x":{"a":NaN,}', b',"user":7', b'"a":"b"', b"[1,]", b"true"),
)


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """A line in the form, of which a few bytes were replaced, most often at a value's edge, or none."""
    damaged = draw(
        st.sampled_from([line(), LAST, line(experiments={}), line(experiments={"A": "x", "B": "y", "C": ","})])
    )
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        edges = [place for place, byte in enumerate(damaged) if byte in b'",:{}']
        place = (
            draw(st.sampled_from(edges)) + draw(st.integers(0, 1))
            if draw(st.booleans())
            else draw(st.integers(0, len(damaged)))
        )
        gone = draw(st.sampled_from([0, 0, 1, 1, 2, 5]))
        damaged = damaged[:place] + draw(st.sampled_from(FRAGMENTS)) + damaged[place + gone :]
    return damaged


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(damaged_lines(), min_size=1, max_size=4))
@example(lines=[line(experiments={}).replace(b"{}", b'{"session":"a","recommender":"b","propensity":1}')])
@example(lines=[line().replace(b'"random"', b'"a" "b"')])
def test_damaged_lines_are_read_as_the_exact_reader_reads_them(load: Load, lines: list[bytes]) -> None:
    content = b"\n".join(lines) + b"\n"
    loaded, expected = load(content), reference(content)
    assert loaded.lines == expected.lines
    assert loaded.rejects == expected.rejects
    assert sorted(map(normal, loaded.rows)) == sorted(map(normal, expected.rows))


@settings(max_examples=100, deadline=None)
@given(damaged=damaged_lines())
def test_what_has_the_form_and_is_read_by_duckdb_is_an_event(load: Load, damaged: bytes) -> None:
    if b"\n" in damaged or count(damaged + b"\n") is None:
        return
    loaded = load(damaged + b"\n")
    assert loaded.lines.good == len(reference(damaged).rows)
    for row in loaded.rows:
        assert row["user"] == parse_line(damaged).user


@given(
    times=st.lists(st.floats(0, 1).filter(lambda value: value == 0 or value > 1e-300), min_size=1, max_size=20),
)
@settings(max_examples=30, deadline=None)
def test_decimals_are_read_to_the_nearest_double(load: Load, times: list[float]) -> None:
    rows = load(b"".join(line(time=time, latency=1e5 * time) + b"\n" for time in times)).rows
    assert sorted((row["time"], row["latency"]) for row in rows) == sorted((time, 1e5 * time) for time in times)


def test_lines_are_counted_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(
        line(user=user, experiments={"A": "x" * (user % 7)}) + b"\n" + LAST + b"\n" for user in range(300)
    )
    for size in (600, 601, 1021, 4096):
        monkeypatch.setattr(event_shape, "_CHUNK", size)
        assert count(content) == 600
        assert count(content + b"{}\n") is None
        assert count(content[:-1]) is None


def test_a_log_that_loses_the_form_is_read_all_the_same(tmp_path: Path) -> None:
    start = (line() + b"\n") * 5000
    logs = {
        "spaced.jsonl": json.dumps(EVENT).encode() + b"\n",
        "bad.jsonl": line(time=2) + b"\n",
        "good.jsonl": LAST + b"\n",
    }
    for name, end in logs.items():
        (tmp_path / name).write_bytes(start + end)
    connection = queries.connect()
    files = [LogFile(tmp_path / name, name) for name in logs]
    found = {one.file.name: one.lines for one in event_log.load(connection, files, scratch=tmp_path)}
    assert found == {
        "spaced.jsonl": LineCounts(5001, 5001, 0, 0),
        "bad.jsonl": LineCounts(5001, 5000, 1, 0),
        "good.jsonl": LineCounts(5001, 5001, 0, 0),
    }
    assert connection.sql("SELECT count(*) FROM events").fetchall() == [(15_002,)]
