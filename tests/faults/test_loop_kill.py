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
import yaml

from recsys.store.reader import open_store
from tests.botify.client import read_lines
from tests.waiting import wait_until

EPISODES = 1000
PATIENCE_S = 900  # for a whole day of the loop, on a machine with much more to do


def write_configs(folder: Path) -> Path:
    """Write the demo's configurations, made tiny; returns that of the loop."""
    out = folder / "out"
    world = yaml.safe_load(Path("configs/world/demo.yaml").read_text())
    world |= {"tracks": 200, "artists": 40, "genres": 8, "dimensions": 8}
    world["listeners"] = 150
    arms = [{"recommender": name} for name in ("random", "in_order")]
    documents: dict[str, dict[str, Any]] = {
        "world": world,
        "collect": {
            "world": str(out / "world"),
            "log": str(out / "log"),
            "episodes": 1500,
            "seed": 1,
        },
        "search": {
            "store": str(out / "store"),
            "run": str(out / "run"),
            "models": {"als": {"factors": 4}},
            "search": {"iterations": 2},
            "validation": {"ks": [5], "select": "ndcg@5"},
            "cluster": {"workers": 1},
            "export": {"top": 10, "publish_anyway": True},
        },
        "service": {
            "catalogue": str(out / "world" / "tracks.json"),
            "recommendations": "unused",
            "log_dir": "unused",
            "experiments": [{"name": "ALL", "arms": arms}],
        },
    }
    files = {name: str(folder / f"{name}.yaml") for name in documents}
    loop = files | {"folder": str(out), "experiment": "ALL", "episodes": EPISODES}
    for name, document in {**documents, "loop": loop}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder / "loop.yaml"


@contextmanager
def looping(config: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a day of the loop for the block; what it started is left to the next one."""
    argv = [sys.executable, "-m", "listening_loop.command", "demo", "--days", "1"]
    argv += ["--config", str(config)]
    with (
        config.with_suffix(".out").open("w") as output,
        subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as process,
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
    config = write_configs(tmp_path)
    day = tmp_path / "out" / "days" / "1"
    with looping(config) as loop:
        wait_until(
            lambda: any(
                file.stat().st_size for file in (day / "log").glob(".events-*")
            ),
            "answers to listeners",
            [loop],
        )
        loop.kill()
    assert not (day / "traffic.json").exists()

    with looping(config) as loop:
        assert loop.wait(PATIENCE_S) == 0, config.with_suffix(".out").read_text()
    events = read_log(day / "log")
    report = json.loads((day / "report" / "report.json").read_text())
    assert report["verdict"]["decision"]
    count = len(events)
    assert report["lines"] == {"read": count, "good": count, "rejected": 0}
    ends = Counter(event["session"] for event in events if event["message"] == "last")
    assert len(ends) == ends.total() == EPISODES
    answers = Counter((event["session"], event["recommendation"]) for event in events)
    assert answers.most_common(1)[0][1] == 1, "an event stands twice"
    store = open_store(tmp_path / "out" / "store")
    assert store.manifest.events == len(read_log(tmp_path / "out" / "log"))


def read_log(log: Path) -> list[dict[str, Any]]:
    """Read every event of a log; none is in an open segment."""
    assert not list(log.glob(".events-*"))
    return read_lines(*log.glob("events-*"))
