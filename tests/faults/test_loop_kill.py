"""The closed loop under kill -9, amid its traffic."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recsys.store.reader import open_store
from tests.botify.client import read_lines
from tests.e2e.reader import shrink
from tests.waiting import wait_until

EPISODES = 1000
OUTPUT = "loop.out"
PATIENCE_S = 900  # for a whole day of the loop, on a machine with much more to do


# The first demo, made tiny
SMALLER: dict[str, dict[str, Any]] = {
    "first/world.yaml": {
        "tracks": 200,
        "artists": 40,
        "genres": 8,
        "dimensions": 8,
        "listeners": 150,
    },
    "first/collect.yaml": {"episodes": 1500},
    "first/search.yaml": {
        "models": {"als": {"factors": 4, "regularization": 0.1}},
        "search": {"iterations": 2},
        "export": {"publish_anyway": True},
    },
    "first/loop.yaml": {"episodes": EPISODES},
}


@contextmanager
def looping(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a day of the loop for the block; what it started is left to the next one."""
    argv = [sys.executable, "-m", "listening_loop.command", "demo", "--days", "1"]
    argv += ["--config", "configs/first/loop.yaml"]
    with (
        (folder / OUTPUT).open("w") as output,
        subprocess.Popen(
            argv, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_after_a_kill_the_loop_continues_and_every_event_counts_once(
    tmp_path: Path,
) -> None:
    shrink(tmp_path / "configs", SMALLER)
    out = tmp_path / "out" / "first"
    day = out / "days" / "1"
    with looping(tmp_path) as loop:
        wait_until(
            lambda: any(
                file.stat().st_size
                for file in (day / "log-unfinished").glob(".events-*")
            ),
            "answers to listeners",
            [loop],
        )
        loop.kill()
    assert not (day / "log").exists()

    with looping(tmp_path) as loop:
        assert loop.wait(PATIENCE_S) == 0, (tmp_path / OUTPUT).read_text()
    events = read_log(day / "log")
    report = json.loads((day / "report" / "report.json").read_text())
    assert report["verdict"]["decision"]
    count = len(events)
    assert report["lines"] == {"read": count, "good": count, "rejected": 0}
    ends = Counter(event["session"] for event in events if event["message"] == "last")
    assert len(ends) == ends.total() == EPISODES
    answers = Counter((event["session"], event["recommendation"]) for event in events)
    assert answers.most_common(1)[0][1] == 1, "an event stands twice"
    store = open_store(out / "store")
    assert store.manifest.events == len(read_log(out / "log"))


def read_log(log: Path) -> list[dict[str, Any]]:
    """Read every event of a log; none is in an open segment."""
    assert not list(log.glob(".events-*"))
    return read_lines(*log.glob("events-*"))
