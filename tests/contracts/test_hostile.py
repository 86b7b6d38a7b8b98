"""A hostile log line is counted as an event or a reject, from the log to the pages."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.ab.__main__ import PROG, app
from looplib.cli import run
from recsys.ingest.pipeline import ingest
from tests.analysis.ab.logs import START_MS, event, experiment
from tests.analysis.page.html import HOSTILE, Parser
from tests.recsys.events import read_rows

NAMES = (
    HOSTILE,
    "'; DROP TABLE events; --",
    "$user {experiments} %s",
    "../../../../etc/passwd",
    "/etc/passwd\0.jsonl",
    "\u202egnp.exe\u2028",
    "x" * 10_000,
)
INFINITE = json.dumps(event(1, START_MS, time=77)).replace("77", "1e999")
EVENTS = {
    "a huge number": event(10**30, START_MS),
    "a moment after all time": event(1, 10**17),
    "a name that is an object": event(1, START_MS, session={"$ne": 1}),
    "arms that are a list": event(1, START_MS, experiments=["<script>"]),
}
REFUSED = {name: json.dumps(row).encode() for name, row in EVENTS.items()} | {
    "an infinite share": INFINITE.encode(),
    "a pit": b'{"message": ' + b"[" * 100_000 + b"}",
    "no UTF-8": b'{"message": "\xff"}',
}
Events = list[dict[str, Any]]


def hostile_events() -> Events:
    """An experiment whose every name is hostile, its arms' too."""
    events = []
    for number, good in enumerate(experiment()):
        arms = {HOSTILE: f"{good['experiments']['ALS']}{HOSTILE}"}
        session = f"{good['session']}{NAMES[good['user'] % len(NAMES)]}"
        changed: dict[str, Any] = {
            "experiments": arms,
            "session": session,
            "recommender": NAMES[number % len(NAMES)],
        }
        if good["message"] == "last":
            changed["recommender"] = None
        events.append(good | changed)
    return events


@pytest.fixture(scope="module")
def log(folder: Path) -> Path:
    file = folder / "log" / "events-1.jsonl"
    file.parent.mkdir()
    lines = [json.dumps(hostile).encode() for hostile in hostile_events()]
    lines += REFUSED.values()
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


@pytest.fixture(scope="module")
def root(log: Path) -> Path:
    """A folder with the A/B report of the log."""
    out = log.parent.parent / "reports" / "report"
    argv = [str(log), "--experiment", HOSTILE, "--out", str(out)]
    argv += ["--config", "configs/ab.yaml", "--set", f"control=C{HOSTILE}"]
    assert run(app, PROG, argv) == 0
    return out.parent


def test_hostile_names_are_kept_as_they_are_and_make_no_file(
    log: Path, tmp_path: Path
) -> None:
    report = ingest([log], tmp_path / "store")
    assert report.lines.good == len(hostile_events())
    assert report.lines.rejected == len(REFUSED)
    sessions = {row["session"] for row in read_rows(report.store)}
    assert sessions == {hostile["session"] for hostile in hostile_events()}
    suffixes = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    assert suffixes == {".json", ".jsonl", ".parquet", ""}, "the lock has none"
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_in_the_report_hostile_names_are_text(root: Path) -> None:
    page = Parser((root / "report" / "report.html").read_text()).root
    assert not page.find("script")
    assert not page.find("img")
    assert HOSTILE.split(">")[0] in page.text
    summary = json.loads((root / "report" / "report.json").read_text())
    assert summary["lines"]["rejected"] == len(REFUSED)
    assert sum(summary["listeners"].values()) == 60
