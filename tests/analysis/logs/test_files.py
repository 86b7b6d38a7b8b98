"""Event logs are found by path and pattern."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.logs.files import LogFile, discover
from analysis.plays.files import find_tables
from tests.analysis.logs.lines import write


def test_a_folder_stands_for_its_logs_at_any_depth(tmp_path: Path) -> None:
    logs = [
        "B.JSON",
        "a.jsonl",
        "c.log",
        "d.jsonl.GZ",
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


@pytest.mark.parametrize("find", [discover, find_tables])
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
    with pytest.raises(AnalysisError, match=r"not a regular file|not printable UTF-8"):
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
    with pytest.raises(AnalysisError, match=why):
        discover([tmp_path / name])
