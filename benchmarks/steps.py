"""The steps from random recommendations to those that follow the session, each by an A/B test over HTTP.

    python -m benchmarks.steps [--world out/seed/world] [--version out/seed/run/export/current]

Needs a world and what a search of its listeners' sessions has exported, context model included; `--skips` names a
version whose ALS took skipped tracks for disliked ones. The service and the listeners are the real ones, and every
effect is read from the report.json of `python -m analysis.ab`:

- one experiment has the service's recommenders as arms;
- each change to the context model has an experiment of its own: a version is published whose context.npz knows no
  listener, takes nothing that is heard for evidence, or knows of no artist that wears out;
- the oracle, which knows the session's interest, plays in process (`benchmarks.policies`).

What is done already is not done again. Printed is a table in Markdown; intervals are at 95 %.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import orjson
import typer
import yaml

from benchmarks.crossover import Traffic, play, settings_of
from benchmarks.policies import make_oracle
from benchmarks.policies import play as play_in_process
from looplib.files import atomic_write_text, sha256_file
from recsys.loop.processes import Step, run_step
from sim.listening.sessions import make_model
from sim.worlds.files import load_world

EXPERIMENT = "STEPS"
CONTROL, BEST = "C", "T4"
TIME, TRACKS = "mean_time_per_session", "mean_tracks_per_session"
CONTEXT, MANIFEST = "context.npz", "manifest.json"
RECOMMENDERS = {
    CONTROL: "random",
    "T1": "sticky_artist",
    "top_pop": "top_pop",
    "T2": "indexed",
    "T3": "in_order",
    "session_als": "session_als",
    "contextual": "contextual",
    BEST: "session_context",
}
SKIPS = {CONTROL: "random", "T2": "indexed", "T3": "in_order", "session_als": "session_als"}
Arrays = Mapping[str, npt.NDArray[np.generic]]
app = typer.Typer(add_completion=False)


def _without_listeners(arrays: Arrays) -> Arrays:
    return {name: arrays[name][:0] for name in ("listeners", "organics", "interest_of")}


def _without_evidence(arrays: Arrays) -> Arrays:
    del arrays
    return {"noise": np.array(1e12)}


def _without_rest(arrays: Arrays) -> Arrays:
    del arrays
    return {"artist_fatigue": np.array(1.0)}


CHANGES: Mapping[str, Callable[[Arrays], Arrays]] = {
    "without the listener": _without_listeners,
    "without corrections by the session": _without_evidence,
    "without letting artists rest": _without_rest,
}


@dataclass(frozen=True)
class Row:
    """An arm; the effect on the mean listening time of a session with its interval is in % of random's."""

    name: str
    tracks: float
    time: float
    effect: tuple[float, float, float] | None


@app.command()
def main(
    world: Annotated[Path, typer.Option(help="Folder of the world.")] = Path("out/seed/world"),
    version: Annotated[Path, typer.Option(help="What is served.")] = Path("out/seed/run/export/current"),
    skips: Annotated[Path | None, typer.Option(help="The same with skips as negatives.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for logs and reports.")] = Path("out/seed/steps"),
    sessions: Annotated[int, typer.Option(help="Of the experiment with all recommenders.")] = 100_000,
    few: Annotated[int, typer.Option(help="Sessions of each other experiment.")] = 20_000,
    oracle: Annotated[int, typer.Option(help="Sessions of the oracle.")] = 1000,
) -> None:
    """Runs what is missing, and prints the table."""
    traffic = Traffic(sessions)
    report = _experiment(world, version, out / "recommenders", RECOMMENDERS, traffic)
    rows = [_row(report, arm, f"{arm} {name}".removeprefix(f"{name} ")) for arm, name in RECOMMENDERS.items()]
    for name, change in CHANGES.items():
        folder = out / name.replace(" ", "-")
        changed = _publish_changed(version, folder / "published", change)
        arms = {CONTROL: "random", BEST: "session_context"}
        found = _experiment(world, changed, folder, arms, Traffic(few))
        rows.append(_row(found, BEST, f"{BEST} {name}"))
    if skips is not None:
        found = _experiment(world, skips, out / "skips", SKIPS, Traffic(few))
        rows += [
            _row(found, arm, f"{arm} {name}, skips disliked".removeprefix(f"{name} "))
            for arm, name in SKIPS.items()
            if arm != CONTROL
        ]
    rows.append(_oracle(world, out / "oracle.json", oracle, rows[0]))
    print("\n".join(_table(rows)))
    print()
    print(_against_best(out / "recommenders"))


def _experiment(world: Path, version: Path, folder: Path, arms: Mapping[str, str], traffic: Traffic) -> dict[str, Any]:
    """Serves a version to listeners and reports; returns the report."""
    log, report = folder / "log", folder / "report" / "report.json"
    if not report.exists():
        shutil.rmtree(log, ignore_errors=True)
        config = folder / "botify.yaml"
        atomic_write_text(config, yaml.safe_dump(settings_of(EXPERIMENT, arms), sort_keys=False))
        play(config, world, version.parent, log, traffic)
    _report(log, report.parent, CONTROL)
    found: dict[str, Any] = orjson.loads(report.read_bytes())
    return found


def _report(log: Path, folder: Path, control: str) -> None:
    arguments: list[str | Path] = [log, "--experiment", EXPERIMENT, "--control", control, "--out", folder]
    run_step(Step("The A/B report", "analysis.ab", arguments, done=folder / "report.json"))


def _publish_changed(version: Path, root: Path, change: Callable[[Arrays], Arrays]) -> Path:
    """A copy of a version in which the context model is another."""
    folder = root / "current"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(version, folder)
    with np.load(folder / CONTEXT) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / CONTEXT, allow_pickle=False, **(arrays | dict(change(arrays))))
    manifest = orjson.loads((folder / MANIFEST).read_bytes())
    facts = {"sha256": sha256_file(folder / CONTEXT), "bytes": (folder / CONTEXT).stat().st_size}
    manifest["files"][CONTEXT] |= facts
    (folder / MANIFEST).write_bytes(orjson.dumps(manifest))
    return folder


def _row(report: dict[str, Any], arm: str, name: str) -> Row:
    time, tracks = (_effects(report, metric) for metric in (TIME, TRACKS))
    if arm == CONTROL:
        of_time, of_tracks = (next(iter(found.values())) for found in (time, tracks))
        return Row(name, of_tracks["control_value"], of_time["control_value"], None)
    effect = time[arm]["relative"]
    ends = (effect["effect_pct"], effect["lower_pct"], effect["upper_pct"])
    return Row(name, tracks[arm]["arm_value"], time[arm]["arm_value"], ends)


def _effects(report: dict[str, Any], metric: str) -> dict[str, dict[str, Any]]:
    return {row["arm"]: row for row in report["effects"] if row["metric"] == metric}


def _oracle(world: Path, file: Path, sessions: int, control: Row) -> Row:
    """Its effect is against the experiment's control, whose own noise is left out."""
    if not file.exists():
        listening = make_model(load_world(world))
        arm = play_in_process(listening, "oracle", make_oracle(listening), sessions, lambda: 0.0)
        document = {"tracks": arm.tracks, "time": arm.mean, "error": arm.error}
        atomic_write_text(file, orjson.dumps(document).decode())
    found = orjson.loads(file.read_bytes())
    effects = [100 * ((found["time"] + z * found["error"]) / control.time - 1) for z in (0, -1.96, 1.96)]
    return Row("oracle (knows the interest)", found["tracks"], found["time"], (effects[0], effects[1], effects[2]))


def _table(rows: list[Row]) -> list[str]:
    base, top = rows[0].time, rows[-1].time
    lines = [
        "| arm | tracks | time per session | effect over random | share of the oracle's gain |",
        "|---|---:|---:|---|---:|",
    ]
    for row in rows:
        effect = "" if row.effect is None else "{:+,.0f} % ({:+,.0f} … {:+,.0f})".format(*row.effect)
        share = f"{100 * (row.time - base) / (top - base):.1f} %"
        lines.append(f"| {row.name} | {row.tracks:.1f} | {row.time:.2f} | {effect} | {share} |")
    return lines


def _against_best(folder: Path) -> str:
    """How every other arm compares with the best one, by a second report on the same log."""
    report = folder / "against-best"
    _report(folder / "log", report, BEST)
    found = _effects(orjson.loads((report / "report.json").read_bytes()), TIME)
    arm, nearest = max(found.items(), key=lambda item: item[1]["relative"]["upper_pct"])
    significant = sum(row["significant"] and row["effect"] < 0 for row in found.values())
    ends = nearest["relative"]
    return (
        f"Of {len(found)} arms, {significant} are significantly below {BEST} (Holm, 5 %); the nearest is {arm}: "
        f"{ends['effect_pct']:+.1f} % ({ends['lower_pct']:+.1f} … {ends['upper_pct']:+.1f}) of it."
    )


if __name__ == "__main__":
    app()
