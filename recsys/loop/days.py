"""The days of a loop: the commands of each, in order."""

import shutil
from pathlib import Path

import orjson

from looplib.files import fsync
from recsys.errors import LoopError
from recsys.export.export import RECOMMENDATIONS
from recsys.loop.config import LoopConfig, Paths
from recsys.loop.processes import Step, free_port, run_step, service_step, serving

Arguments = list[str | Path]


def collect(config: LoopConfig, paths: Paths) -> None:
    """Make the world, and the first collection under random recommendations."""
    run_step(
        Step(
            "A world of listeners",
            "sim.world",
            ["--config", config.world, "--out", paths.world],
        )
    )
    arguments: Arguments = [
        "--config",
        config.collect,
        "--world",
        paths.world,
        "--log",
        paths.collected,
    ]
    run_step(Step("Listening under random recommendations", "sim.run", arguments))


def run_day(config: LoopConfig, paths: Paths) -> None:
    """Learn from all logs so far, publish, serve an experiment's traffic, report.

    An interrupted day continues with its first unfinished step; interrupted traffic starts over.
    """
    ingest: Arguments = [paths.collected, *paths.earlier, "--store", paths.store]
    run_step(Step("Logs to sessions", "recsys.ingest", ingest, done=paths.traffic))
    search: Arguments = [
        "--config",
        config.search,
        "--store",
        paths.store,
        "--run",
        paths.run,
        "--no-export",
    ]
    run_step(Step("The search", "recsys.search", search, done=paths.winner))
    publish: Arguments = ["--run", paths.run, "--out", paths.published]
    run_step(
        Step("Publishing the winner", "recsys.export", publish, done=paths.traffic)
    )
    _serve_traffic(config, paths)
    report: Arguments = [
        paths.log,
        "--experiment",
        config.experiment,
        "--config",
        config.report,
        "--out",
        paths.report,
    ]
    run_step(Step("The A/B report", "analysis.ab", report, done=paths.report_json))
    if paths.number == 1:
        _predict(paths)


def _serve_traffic(config: LoopConfig, paths: Paths) -> None:
    """Serve a day's listeners; refuse a day that lost so many sessions that those heard to the end differ."""
    port, traffic = config.port or free_port(), config.traffic
    arguments: Arguments = [
        "--world",
        paths.world,
        "--recommender",
        "remote",
        "--url",
        f"http://127.0.0.1:{port}",
    ]
    arguments += [
        "--episodes",
        str(traffic.episodes),
        "--seed",
        str(traffic.seed + paths.number),
    ]
    arguments += [
        "--batch",
        str(traffic.batch),
        "--concurrency",
        str(traffic.concurrency),
    ]
    arguments += ["--summary", paths.unfinished_traffic]
    step = Step(
        f"Day {paths.number}: listeners", "sim.run", arguments, done=paths.traffic
    )
    if paths.traffic.exists():
        run_step(step)
        return
    if paths.log.exists():
        shutil.rmtree(paths.log)
    with serving(
        service_step(config.service, paths.catalogue, paths.published, paths.log, port),
        port,
    ):
        run_step(step)
    (heard,) = orjson.loads(paths.unfinished_traffic.read_bytes())["days"]
    lost = traffic.episodes - heard["sessions"]
    if lost > traffic.most_lost * traffic.episodes:
        raise LoopError(
            f"day {paths.number}: {lost:,} of {traffic.episodes:,} sessions failed, at most {traffic.most_lost:.0%} "
            "may; the service's messages are above; run the loop again"
        )
    paths.unfinished_traffic.replace(paths.traffic)  # the log is complete
    fsync(paths.day)


def _predict(paths: Paths) -> None:
    """Predict what the lists served as `indexed` are worth, and compare with what was measured.

    An estimate needs sessions under random recommendations that the lists were not learned from:
    those of the first collection that were held out. Later models learn from listeners who heard
    earlier lists, and have none.
    """
    recommenders = orjson.loads(paths.report_json.read_bytes())["recommenders"]
    served = [
        arm for arm, recommender in recommenders.items() if recommender == "indexed"
    ]
    if not served:
        return
    export: Arguments = [
        "--run",
        paths.run,
        "--out",
        paths.training,
        "--learn-from",
        "training",
    ]
    run_step(
        Step(
            "The lists without the held-out sessions",
            "recsys.export",
            export,
            done=paths.predictions,
        )
    )
    arguments: Arguments = [
        paths.collected,
        "--holdout",
        "manifest",
    ]
    arguments += ["--measured", paths.report_json, "--out", paths.predictions]
    for arm in served:
        arguments += [
            "--recommendations",
            f"{arm}={paths.training / 'current' / RECOMMENDATIONS}",
        ]
    run_step(
        Step(
            "Predicted and measured",
            "analysis.offpolicy",
            arguments,
            done=paths.predictions,
        )
    )
