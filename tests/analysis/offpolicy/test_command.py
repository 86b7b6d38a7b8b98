"""The command `listening-loop offpolicy`."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.logs.files import discover
from analysis.logs.sources import digest
from analysis.store import content_digest
from tests.analysis.offpolicy.logged import LISTED, MEANS, TOP, TRACKS, USERS
from tests.botify.exports import write_lists
from tests.conftest import Run
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
    write_lists(tmp_path / "lists.jsonl", dict(enumerate(TOP.tolist())))
    return tmp_path


def words(folder: Path, name: str = "", lists: str = "lists.jsonl") -> list[str]:
    """Words of the command, for lists that may have a name."""
    file = f"{name}{folder / lists}"
    return ["offpolicy", f"{folder}/log", f"--recommendations={file}", "--holdout=all"]


def test_the_command_prints_a_table_and_writes_the_same_as_json(
    folder: Path, printed: Run
) -> None:
    out = folder / "estimates.json"
    table = printed(*words(folder, "T1="), "--out", out)
    document = json.loads(out.read_bytes())
    (found,) = document["recommendations"]
    assert found["conclusive"] is True
    assert found["value"] == pytest.approx(
        float(np.mean(np.sort(MEANS, axis=1)[:, -LISTED:])), abs=0.03
    )
    assert document["sessions"] == 3000
    assert f"{found['value']:.4f}" in table
    assert f"{document['logged']['value']:.4f}" in table


def test_lists_that_were_learned_from_these_logs_are_not_conclusive(
    folder: Path, printed: Run
) -> None:
    (log,) = discover([folder / "log"])
    store = content_digest([digest(log)])  # what an export of a store of this log names
    (folder / "manifest.json").write_text(
        json.dumps({"model": "m1", "data": {"store": store}})
    )
    expected = "m1: not conclusive: the lists were learned from all sessions"
    assert expected in printed(*words(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user": 1, "tracks": [1, 2]}\n{"user": 2}\n', "line 2 is not"),
        ('{"user": 1, "tracks": [1, 1]}\n', "a track more than once"),
        ('{"user": -1, "tracks": [1]}\n', "line 1 is not"),
        ("", "no line here"),
        ("[1]\n", "line 1 is not"),
    ],
)
def test_bad_lists_are_one_line_with_the_file_and_exit_code_2(
    folder: Path, content: str, message: str, refusal: Run
) -> None:
    (folder / "lists.jsonl").write_text(content)
    line = refusal(*words(folder))
    assert message in line
    assert str(folder / "lists.jsonl") in line


@pytest.mark.parametrize(
    ("lists", "policy", "message"),
    [
        ("none.jsonl", "logged", "cannot be read"),
        ("lists.jsonl", "uniform", "allowed are logged"),
        ("lists.jsonl", "uniform:0", "allowed are logged"),
        ("lists.jsonl", "uniform:7", "a catalogue of 7 has 0 … 6"),
    ],
)
def test_other_mistakes_are_one_line_too(
    folder: Path, lists: str, policy: str, message: str, refusal: Run
) -> None:
    stated = ("--logging-policy", policy)
    assert message in refusal(*words(folder, lists=lists), *stated)
