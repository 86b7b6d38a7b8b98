"""A loop on a tiny world as a process of its own, whose parts can be found and killed."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
import psutil
import pyarrow.parquet as pq
import yaml

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
LISTENERS, COLLECTED = 150, 1500
PATIENCE_S = 900  # for a whole day of the loop, on a machine with much more to do


@dataclass(frozen=True)
class TinyLoop:
    """A loop's folder and configurations."""

    folder: Path
    config: Path
    episodes: int

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def log_of(self, day: int) -> Path:
        return self.out / "days" / str(day) / "log"

    def argv(self, days: int) -> list[str]:
        return [
            sys.executable,
            "-m",
            "listening_loop.command",
            "loop",
            "--config",
            str(self.config),
            "--days",
            str(days),
        ]


def make_loop(folder: Path, episodes: int = 600) -> TinyLoop:
    """Configurations of the demo, made tiny."""
    out = folder / "out"
    world = yaml.safe_load((ROOT / "configs/world/demo.yaml").read_text())
    world["catalogue"] |= {"tracks": 200, "artists": 40, "genres": 8, "dimensions": 8}
    world["listeners"] |= {"listeners": LISTENERS}
    tracks = str(out / "world" / "tracks.json")
    arms = [{"recommender": name} for name in ("random", "in_order")]
    documents: dict[str, dict[str, Any]] = {
        "world": world,
        "collect": {
            "world": str(out / "world"),
            "log": str(out / "log"),
            "episodes": COLLECTED,
            "seed": 1,
        },
        "search": {
            "store": str(out / "store"),
            "run": str(out / "run"),
            "models": {"als": {"factors": 4}},
            "search": {"iterations": 2, "score_every": 2},
            "validation": {"ks": [5], "select": "ndcg@5", "resamples": 100},
            "cluster": {"workers": 1, "wait_for_workers_s": 300},
            "export": {"top": 10, "publish_anyway": True},
        },
        "service": {
            "catalogue": tracks,
            "recommendations": "unused",
            "log_dir": "unused",
            "stop_grace_s": 60,
            "experiments": [{"name": "ALL", "arms": arms}],
        },
        "report": {},
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    config = {name: str(folder / f"{name}.yaml") for name in documents}
    traffic = {"episodes": episodes, "batch": 50, "concurrency": 2}
    loop = config | {"folder": str(out), "experiment": "ALL", "traffic": traffic}
    (folder / "loop.yaml").write_text(yaml.safe_dump(loop))
    return TinyLoop(folder, folder / "loop.yaml", episodes)


class Running:
    """A loop under way; what it says is read as it comes."""

    def __init__(self, loop: TinyLoop, days: int, prefix: Sequence[str] = ()) -> None:
        argv = [*prefix, *loop.argv(days)]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the loop alone: what it started is left to the next one."""
        self.process.kill()
        self.process.wait(60)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def children(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def find(self, command: str) -> psutil.Process | None:
        """The process that runs a command of the loop's."""
        return next(
            (
                child
                for child in self.children()
                if f"-m listening_loop.command {command}" in command_of(child)
            ),
            None,
        )

    def wait_for_traffic(self, log: Path) -> psutil.Process:
        """The listeners' process, some of whose requests were answered."""
        found = self.wait_for("simulate --world")
        wait_until(
            lambda: any(file.stat().st_size for file in log.glob(".events-*")),
            "traffic",
        )
        return found

    def wait_for(self, module: str) -> psutil.Process:
        wait_until(
            lambda: self.find(module) is not None or self.ended,
            f"{module} to start:\n{self.text}",
        )
        found = self.find(module)
        assert found is not None, f"it ended before {module}:\n{self.text}"
        return found

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> int:
        """Wait until it has ended, and return its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(60)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend(lines)


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def events_of(log: Path) -> list[dict[str, Any]]:
    """Every event of a log; none is in an open segment."""
    assert not list(log.glob(".events-*"))
    return [
        orjson.loads(line)
        for file in sorted(log.glob("events-*"))
        for line in file.read_bytes().splitlines()
    ]


def assert_whole(loop: TinyLoop, days: int) -> None:
    """Every day has a verdict; listeners, log, report and store have the same events."""
    total = len(events_of(loop.out / "log"))
    for day in range(1, days + 1):
        folder = loop.log_of(day).parent
        events = events_of(folder / "log")
        total += len(events) if day < days else 0
        report = json.loads((folder / "report" / "report.json").read_text())
        assert report["verdict"]["decision"]
        assert report["lines"] == {
            "read": len(events),
            "good": len(events),
            "rejected": 0,
        }
        traffic = json.loads((folder / "traffic.json").read_text())
        assert traffic["sessions"] == loop.episodes
        ends = Counter(
            event["session"] for event in events if event["message"] == "last"
        )
        assert len(ends) == loop.episodes
        assert set(ends.values()) == {1}
        heard = Counter(
            (event["session"], event["track"])
            for event in events
            if event["recommendation"] is not None
        )
        assert max(heard.values()) == 1, "an event stands twice"
    manifest = json.loads((loop.out / "store" / "manifest.json").read_text())
    stored = sum(
        pq.read_metadata(loop.out / "store" / part["path"]).num_rows
        for part in manifest["parts"]
    )
    assert stored == total
