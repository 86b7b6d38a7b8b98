"""The days of a loop: the commands of each, in order."""

import shutil
from pathlib import Path

import orjson
import yaml

from looplib.files import fsync_directory
from recsys.errors import LoopError
from recsys.loop.config import LoopConfig
from recsys.loop.foretelling import lists_of_arm, training_lists
from recsys.loop.places import Day, Places
from recsys.loop.processes import run_step
from recsys.loop.service import free_port, service_step, serving
from recsys.loop.steps import Step
from recsys.runs.folder import WINNER


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
    _report(config, places, day)


def _learn(config: LoopConfig, places: Places, day: Day) -> None:
    logs: list[str | Path] = [places.collected, *(places.day(earlier).log for earlier in range(1, day.number))]
    run_step(Step("Logs to sessions", "recsys.ingest", [*logs, "--store", places.store], done=day.traffic))
    search: list[str | Path] = ["--config", config.search, "--store", places.store, "--run", day.run, "--no-export"]
    run_step(Step("The search", "recsys.search", search, done=day.run / WINNER))
    run_step(
        Step("Publishing the winner", "recsys.export", ["--run", day.run, "--out", places.published], done=day.traffic)
    )


def _experiment(config: LoopConfig, places: Places, day: Day) -> None:
    if not day.traffic.exists() and day.log.exists():
        shutil.rmtree(day.log)
    port = config.port or free_port()
    traffic = config.traffic
    arguments: list[str | Path] = ["--world", places.world, "--recommender", "remote"]
    arguments += ["--url", f"http://127.0.0.1:{port}", "--episodes", str(traffic.episodes)]
    arguments += ["--seed", str(traffic.seed + day.number), "--batch", str(traffic.batch)]
    arguments += ["--concurrency", str(traffic.concurrency), "--summary", day.begun_traffic]
    step = Step(f"Day {day.number}: listeners", "sim.run", arguments, done=day.traffic)
    if day.traffic.exists():
        run_step(step)
        return
    service = service_step(config.service, places.catalogue, places.published, day.log, port)
    with serving(service, port):
        run_step(step)
    _check_traffic(config, day)
    day.begun_traffic.replace(day.traffic)  # the log is complete
    fsync_directory(day.folder)


def _check_traffic(config: LoopConfig, day: Day) -> None:
    """Refuses a day's traffic of which too much was lost: who was heard to the end is not like who was not.

    Raises:
        LoopError: So it is.
    """
    (heard,) = orjson.loads(day.begun_traffic.read_bytes())["days"]
    lost = config.traffic.episodes - heard["sessions"]
    if lost > config.traffic.most_lost * config.traffic.episodes:
        raise LoopError(
            f"day {day.number}: {lost:,} of {config.traffic.episodes:,} sessions failed, at most "
            f"{config.traffic.most_lost:.0%} may; what the service says stands above; run the loop again"
        )


def _report(config: LoopConfig, places: Places, day: Day) -> None:
    arguments: list[str | Path] = [day.log, "--experiment", config.experiment, "--config", config.report]
    report = day.report / "report.json"
    run_step(Step("The A/B report", "analysis.ab", [*arguments, "--out", day.report], done=report))
    _foretell(config, places, day, report)


def _foretell(config: LoopConfig, places: Places, day: Day, report: Path) -> None:
    """Estimates the lists that are served as `indexed`, and puts what was measured beside it."""
    arms = recommenders_of(config)
    control = next(iter(arms))
    lists: list[str | Path] = ["--run", day.run, "--out", day.training_lists, "--learn-from", "training"]
    served_as_estimated = [arm for arm, name in arms.items() if name == "indexed"]
    if not served_as_estimated or (day.number > 1 and arms[control] != "random"):
        return
    if day.number == 1:
        run_step(Step("The lists without the held-out sessions", "recsys.export", lists, done=day.foretold))
        log, holdout, file = places.collected, "manifest", training_lists(day)
    else:
        log, holdout, file = day.log, "all", day.folder / f"lists-of-{control}.jsonl"
        if not day.foretold.exists():
            file = lists_of_arm(day, places.recommendations, config.experiment, control)
    estimate: list[str | Path] = [log, "--holdout", holdout, "--measured", report, "--out", day.foretold]
    for arm in served_as_estimated:
        estimate += ["--recommendations", f"{arm}={file}"]
    run_step(Step("Foretold and measured", "analysis.offpolicy", estimate, done=day.foretold))


def recommenders_of(config: LoopConfig) -> dict[str, str]:
    """Arm → recommender of the reported experiment, from the service's configuration.

    Raises:
        LoopError: The service has no such experiment.
    """
    document = yaml.safe_load(config.service.read_text(encoding="utf-8"))
    arms = next((each["arms"] for each in document["experiments"] if each["name"] == config.experiment), None)
    if arms is None:
        raise LoopError(f"{config.service}: no experiment {config.experiment}")
    names = [arm.get("name", "C" if place == 0 else f"T{place}") for place, arm in enumerate(arms)]
    return dict(zip(names, (arm["recommender"] for arm in arms), strict=True))
