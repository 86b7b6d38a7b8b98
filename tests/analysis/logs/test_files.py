"""Event logs are found by path and pattern, and their lines counted where DuckDB may read them as types."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import EventLogError
from analysis.logs import files, interactions
from analysis.logs.files import LogFile, count_lines, discover
from botify.event_log import event_line
from sim.events import Events, format_events
from tests.analysis.logs.test_reader import EVENT, text, write


def test_a_folder_stands_for_its_logs_at_any_depth(tmp_path: Path) -> None:
    logs = [
        "a.jsonl",
        "b.json",
        "c.log",
        "d.jsonl.gz",
        "sub/deep/f.jsonl",
        "sub/e.log.gz",
    ]
    others = [
        "note.txt",
        "collection.json",
        ".hidden.jsonl",
        ".cache/g.jsonl",
        "h.gz",
        "world.yaml",
    ]
    for name in logs + others:
        write(tmp_path / name)
    found = discover([tmp_path])
    assert [file.path.relative_to(tmp_path).as_posix() for file in found] == logs


def test_a_pattern_stands_for_what_matches_and_a_file_named_twice_is_read_once(
    tmp_path: Path,
) -> None:
    first, second = write(tmp_path / "a-1.jsonl"), write(tmp_path / "a-2.jsonl")
    write(tmp_path / "b.jsonl")
    found = discover([f"{tmp_path}/a-*.jsonl", first, tmp_path / "." / "a-2.jsonl"])
    assert [file.path for file in found] == [first, second]


@pytest.mark.parametrize("find", [discover, interactions.discover])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "bytes"])
def test_what_is_no_file_of_text_is_refused_at_once(
    tmp_path: Path, kind: str, find: Callable[[list[Path]], list[LogFile]]
) -> None:
    path = tmp_path / "x.jsonl"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path = write(tmp_path / os.fsdecode(b"\xff.jsonl"))
    with pytest.raises(EventLogError, match=r"not a regular file|not printable UTF-8"):
        find([path])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("no-*.jsonl", r"no-\*\.jsonl: no such file or folder"),
        ("empty", r"empty: no event log here; logs are files named \*\.jsonl"),
    ],
)
def test_a_path_without_logs_is_an_error_that_names_it(
    tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EventLogError, match=why):
        discover([tmp_path / name])


def count(folder: Path, content: bytes | str) -> int | None:
    file = folder / "log.jsonl"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return count_lines(LogFile(file, "log"))


def test_what_the_service_writes_is_read_as_types(tmp_path: Path) -> None:
    arms = {"ALS": "T1", "AA": "C"}
    start_ms = 1_767_225_600_000
    known = (9, arms, "00000000000c0ffe", "als", 0.5, None)
    unknown = (8, {}, None, "random", None, 3)
    nothing = (None, arms, "a-1", None, None, None)
    lines = [
        event_line("next", start_ms, 7, 3, 0.25, 0.00052, *known),
        event_line("next", start_ms, 12345678, 49_999, 1.0, 0.00052, *unknown),
        event_line("last", start_ms, 7, 3, 0.25, 8.5e-05, *nothing),
    ]
    assert count(tmp_path, b"".join(lines)) == 3


def test_what_the_simulator_writes_is_read_as_types(tmp_path: Path) -> None:
    events = Events(
        session=np.array([0, 1]),
        listener=np.array([5, 6]),
        length=np.array([2, 1]),
        timestamp=np.array([1_767_225_600_000] * 3),
        track=np.array([1, 2, 3]),
        hundredths=np.array([0, 55, 100]),
        propensity=2e-05,
    )
    assert count(tmp_path, format_events(events, "random", "random-1-")) == 3


def test_what_the_original_service_wrote_is_read_as_types(tmp_path: Path) -> None:
    assert (
        count(tmp_path, f"{text(session=..., recommender=..., propensity=...)}\n") == 1
    )


ODD = {
    "a blank line": "\n",
    "a bad line": f"{text(time='0.5')}\n",
    "a torn line": text()[:-5],
    "a byte order mark": f"\ufeff{text()}\n",
    "an array": f"{text(extra=[1, 2])}\n",
    "a backslash": f"{text(session='a' + chr(92))}\n",
    "a key given twice": text().replace('"user": 7', '"user": 9, "user": 7') + "\n",
    "a key that is another with a digit": f"{text(user1=1)}\n",
    "a line longer than two chunks": f"{text(session='x' * 200_000)}\n",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_an_odd_line_is_noticed_at_any_position(tmp_path: Path, odd: str) -> None:
    good = f"{text()}\n{text(message='last', recommendation=None)}\n"
    for content in (odd, good + odd, odd + good if odd.endswith("\n") else odd):
        assert count(tmp_path, content) is None


def test_lines_are_counted_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        json.dumps(EVENT | {"user": user, "experiments": {"T": "x" * (user % 7)}})
        for user in range(300)
    ]
    content = "\n".join(lines)
    for size in (600, 601, 1021, 4096):
        monkeypatch.setattr(files, "CHUNK", size)
        assert count(tmp_path, content) == count(tmp_path, f"{content}\n") == 300
        assert count(tmp_path, f"{content}\n{{}}\n") is None


def test_a_log_of_very_many_kinds_of_lines_is_read_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "".join(f"{text(session='x' * length)}\n" for length in range(1, 12))
    assert count(tmp_path, content) == 11
    monkeypatch.setattr(files, "MOST_KINDS", 10)
    assert count(tmp_path, content) is None


def test_a_gzipped_log_is_counted_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl.gz"
    file.write_bytes(gzip.compress(f"{text()}\n".encode() * 3))
    assert count_lines(LogFile(file, "log")) == 3
