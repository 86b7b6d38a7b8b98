"""The days of a loop: the commands of each, in order."""

import shutil
from pathlib import Path

import orjson
import yaml

from analysis.ab.measures import listeners_of
from looplib.files import atomic_write, fsync_directory
from recsys.errors import LoopError
from recsys.export.export import RECOMMENDATIONS
from recsys.loop.config import DayPaths, LoopConfig, Paths
from recsys.loop.processes import Step, free_port, run_step, service_step, serving

Arguments = list[str | Path]


def collect(config: LoopConfig, paths: Paths) -> None:
    """Make the world, and the first collection under random recommendations."""
    run_step(Step("A world of listeners", "sim.world", ["--config", config.world, "--out", paths.world]))
    arguments: Arguments = ["--config", config.collect, "--world", paths.world, "--log", paths.collected]
    run_step(Step("Listening under random recommendations", "sim.run", arguments))


def run_day(config: LoopConfig, paths: Paths, day: DayPaths) -> None:
    """Learn from all logs so far, publish, serve an experiment's traffic, report.

    An interrupted day continues with its first unfinished step; interrupted traffic starts over.
    """
    logs: Arguments = [paths.collected, *(DayPaths(paths, number).log for number in range(1, day.number))]
    run_step(Step("Logs to sessions", "recsys.ingest", [*logs, "--store", paths.store], done=day.traffic))
    search: Arguments = ["--config", config.search, "--store", paths.store, "--run", day.run, "--no-export"]
    run_step(Step("The search", "recsys.search", search, done=day.winner))
    publish: Arguments = ["--run", day.run, "--out", paths.published]
    run_step(Step("Publishing the winner", "recsys.export", publish, done=day.traffic))
    _serve_traffic(config, paths, day)
    report: Arguments = [day.log, "--experiment", config.experiment, "--config", config.report, "--out", day.report]
    run_step(Step("The A/B report", "analysis.ab", report, done=day.report_json))
    _predict(config, paths, day)


def recommenders_of(config: LoopConfig) -> dict[str, str]:
    """Return arm → recommender of the reported experiment, from the service's configuration."""
    document = yaml.safe_load(config.service.read_text(encoding="utf-8"))
    for experiment in document["experiments"]:
        if experiment["name"] == config.experiment:
            arms = enumerate(experiment["arms"])
            return {arm.get("name", f"T{number}" if number else "C"): arm["recommender"] for number, arm in arms}
    raise LoopError(f"{config.service}: no experiment {config.experiment}")


def _serve_traffic(config: LoopConfig, paths: Paths, day: DayPaths) -> None:
    """Serve a day's listeners; refuse a day that lost so many sessions that those heard to the end differ."""
    port, traffic = config.port or free_port(), config.traffic
    arguments: Arguments = ["--world", paths.world, "--recommender", "remote", "--url", f"http://127.0.0.1:{port}"]
    arguments += ["--episodes", str(traffic.episodes), "--seed", str(traffic.seed + day.number)]
    arguments += ["--batch", str(traffic.batch), "--concurrency", str(traffic.concurrency)]
    arguments += ["--summary", day.unfinished_traffic]
    step = Step(f"Day {day.number}: listeners", "sim.run", arguments, done=day.traffic)
    if day.traffic.exists():
        run_step(step)
        return
    if day.log.exists():
        shutil.rmtree(day.log)
    with serving(service_step(config.service, paths.catalogue, paths.published, day.log, port), port):
        run_step(step)
    (heard,) = orjson.loads(day.unfinished_traffic.read_bytes())["days"]
    lost = traffic.episodes - heard["sessions"]
    if lost > traffic.most_lost * traffic.episodes:
        raise LoopError(
            f"day {day.number}: {lost:,} of {traffic.episodes:,} sessions failed, at most {traffic.most_lost:.0%} may; "
            "the service's messages are above; run the loop again"
        )
    day.unfinished_traffic.replace(day.traffic)  # the log is complete
    fsync_directory(day.folder)


def _predict(config: LoopConfig, paths: Paths, day: DayPaths) -> None:
    """Predict what the lists served as `indexed` are worth, and compare with what was measured.

    An estimate needs sessions under random recommendations that the lists were not learned from. On the first day these
    are the held-out sessions of the collection. Later models learn from listeners who heard earlier lists, so the
    control's sessions of the same day are used, with the lists published for those listeners.
    """
    arms = recommenders_of(config)
    control = next(iter(arms))
    served = [arm for arm, recommender in arms.items() if recommender == "indexed"]
    if not served or (day.number > 1 and arms[control] != "random"):
        return
    if day.number == 1:
        log, holdout, lists = paths.collected, "manifest", day.training / "current" / RECOMMENDATIONS
        export: Arguments = ["--run", day.run, "--out", day.training, "--learn-from", "training"]
        run_step(Step("The lists without the held-out sessions", "recsys.export", export, done=day.predictions))
    else:
        log, holdout, lists = day.log, "all", day.folder / f"lists-of-{control}.jsonl"
        if not day.predictions.exists():
            copy_lists_of_arm(paths.recommendations, lists, listeners_of([day.log], config.experiment, control))
    arguments: Arguments = [log, "--holdout", holdout, "--catalogue", paths.catalogue]
    arguments += ["--measured", day.report_json, "--out", day.predictions]
    for arm in served:
        arguments += ["--recommendations", f"{arm}={lists}"]
    run_step(Step("Predicted and measured", "analysis.offpolicy", arguments, done=day.predictions))


def copy_lists_of_arm(published: Path, file: Path, listeners: list[int]) -> None:
    """Write the published lists of some listeners to a file."""
    kept = set(listeners)
    with published.open("rb") as lines, atomic_write(file) as copy:
        copy.writelines(line for line in lines if orjson.loads(line)["user"] in kept)
