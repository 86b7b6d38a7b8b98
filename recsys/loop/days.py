"""The days of a loop: the commands of each, in order."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from recsys.loop.config import LoopConfig
from recsys.loop.service import free_port, service_step, serving
from recsys.loop.steps import Step, run_step
from recsys.run import WINNER


@dataclass(frozen=True)
class Places:
    """Where everything of a loop is."""

    folder: Path

    @property
    def world(self) -> Path:
        """The world's folder."""
        return self.folder / "world"

    @property
    def catalogue(self) -> Path:
        """The world's tracks."""
        return self.world / "tracks.json"

    @property
    def collected(self) -> Path:
        """The log of the first collection."""
        return self.folder / "log"

    @property
    def store(self) -> Path:
        """The session store."""
        return self.folder / "store"

    @property
    def published(self) -> Path:
        """What the service loads."""
        return self.folder / "published"

    @property
    def recommendations(self) -> Path:
        """The newest lists."""
        return self.published / "current" / "recommendations.jsonl"

    def day(self, number: int) -> "Day":
        """A day's folder."""
        return Day(number, self.folder / "days" / str(number))


@dataclass(frozen=True)
class Day:
    """Where a day's things are; `number` runs from 1."""

    number: int
    folder: Path

    @property
    def run(self) -> Path:
        """The search's run folder."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """What the service logged."""
        return self.folder / "log"

    @property
    def traffic(self) -> Path:
        """What the listeners' side counted; there when the day's traffic is done."""
        return self.folder / "traffic.json"

    @property
    def foretold(self) -> Path:
        """The off-policy estimates."""
        return self.folder / "foretold.json"

    @property
    def report(self) -> Path:
        """The A/B report's folder."""
        return self.folder / "report"


def begin(config: LoopConfig, places: Places) -> None:
    """The world, and the first collection under random recommendations.

    Raises:
        LoopError: A step failed.
    """
    run_step(Step("A world of listeners", "sim.world", ["--config", config.world, "--out", places.world]))
    arguments: list[str | Path] = ["--config", config.collect, "--world", places.world, "--log", places.collected]
    run_step(Step("Listening under random recommendations", "sim.run", arguments))


def spend_day(config: LoopConfig, places: Places, number: int) -> None:
    """A day: learn from all logs so far, publish, serve an experiment's traffic, report.

    A day that was broken off goes on where it was; traffic that was broken off starts over.

    Raises:
        LoopError: A step failed.
    """
    day = places.day(number)
    _learn(config, places, day)
    _experiment(config, places, day)
    _report(config, day)


def _learn(config: LoopConfig, places: Places, day: Day) -> None:
    logs: list[str | Path] = [places.collected, *(places.day(earlier).log for earlier in range(1, day.number))]
    run_step(Step("Logs to sessions", "recsys.ingest", [*logs, "--store", places.store]))
    search: list[str | Path] = ["--config", config.search, "--store", places.store, "--run", day.run, "--no-export"]
    run_step(Step("The search", "recsys.search", search, done=day.run / WINNER))
    run_step(Step("Publishing the winner", "recsys.export", ["--run", day.run, "--out", places.published]))


def _experiment(config: LoopConfig, places: Places, day: Day) -> None:
    if not day.traffic.exists() and day.log.exists():
        shutil.rmtree(day.log)
    port = config.port or free_port()
    traffic = config.traffic
    arguments: list[str | Path] = ["--world", places.world, "--recommender", "remote"]
    arguments += ["--url", f"http://127.0.0.1:{port}", "--episodes", str(traffic.episodes)]
    arguments += ["--seed", str(traffic.seed + day.number), "--batch", str(traffic.batch)]
    arguments += ["--concurrency", str(traffic.concurrency), "--summary", day.traffic]
    step = Step(f"Day {day.number}: listeners", "sim.run", arguments, done=day.traffic)
    if day.traffic.exists():
        run_step(step)
        return
    service = service_step(config.service, places.catalogue, places.published, day.log, port)
    with serving(service, port):
        run_step(step)


def _report(config: LoopConfig, day: Day) -> None:
    run_step(
        Step(
            "The A/B report",
            "analysis.ab",
            [day.log, "--experiment", config.experiment, "--config", config.report, "--out", day.report],
            done=day.report / "report.json",
        )
    )
