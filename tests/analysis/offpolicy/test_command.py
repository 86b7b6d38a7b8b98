"""The command `listening-loop offpolicy`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from analysis.logs.files import discover
from analysis.logs.sources import digest
from analysis.offpolicy.__main__ import PROG, app
from analysis.store import content_digest
from looplib.cli import run
from tests.analysis.offpolicy.logged import LISTED, MEANS, TOP, TRACKS, USERS
from tests.recsys.logs import START_MS, Session, write_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log and lists."""
    rng = np.random.default_rng(5)
    sessions = []
    for number in range(3000):
        user = int(rng.integers(USERS))
        tracks = rng.integers(TRACKS, size=4).tolist()
        heard = [
            # a repeat is skipped at once
            (track, 0.0 if track in tracks[:n] else round(float(MEANS[user, track]), 2))
            for n, track in enumerate(tracks)
        ]
        start_ms = START_MS + number * 100_000
        sessions.append(Session(user, start_ms, heard, f"s{number}", 1 / TRACKS))
    write_log(tmp_path / "log" / "events.jsonl", sessions)
    lists = [{"user": user, "tracks": top.tolist()} for user, top in enumerate(TOP)]
    _write_lines(tmp_path / "lists.jsonl", lists)
    return tmp_path


def _write_lines(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def command(logs: Path, lists: Path | str, holdout: str, *more: str) -> int:
    words = ["--recommendations", str(lists), "--holdout", holdout, *more]
    return run(app, PROG, [str(logs), *words])


def test_the_command_prints_a_table_and_writes_the_same_as_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = f"T1={folder / 'lists.jsonl'}"
    out = folder / "estimates.json"
    assert command(folder / "log", lists, "all", "--out", str(out)) == 0
    printed = capsys.readouterr().out
    document = json.loads(out.read_bytes())
    (found,) = document["recommendations"]
    assert found["conclusive"] is True
    assert found["value"] == pytest.approx(
        float(np.mean(np.sort(MEANS, axis=1)[:, -LISTED:])), abs=0.03
    )
    assert document["sessions"] == 3000
    assert f"{found['value']:.4f}" in printed
    assert f"{document['logged']['value']:.4f}" in printed


def test_lists_that_were_learned_from_these_logs_are_not_conclusive(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (log,) = discover([folder / "log"])
    store = content_digest([digest(log)])  # what an export of a store of this log names
    (folder / "manifest.json").write_text(
        json.dumps({"model": "m1", "data": {"store": store}})
    )
    assert command(folder / "log", folder / "lists.jsonl", "all") == 0
    assert (
        "m1: not conclusive: the lists were learned from all sessions"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user": 1, "tracks": [1, 2]}\n{"user": 2}\n', "line 2 is not"),
        ('{"user": 1, "tracks": [1, 1]}\n', "a track more than once"),
        ('{"user": -1, "tracks": [1]}\n', "line 1 is not"),
        ("", "no line here"),
        ("[1]\n", "line 1 is not"),
        (None, "cannot be read"),
    ],
)
def test_bad_lists_are_one_line_with_the_file_and_exit_code_2(
    folder: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lists.jsonl").unlink()
    if content is not None:
        (folder / "lists.jsonl").write_text(content)
    assert command(folder / "log", folder / "lists.jsonl", "all") == 2
    error = capsys.readouterr().err.splitlines()
    assert message in error[-1]
    assert str(folder / "lists.jsonl") in error[-1]
