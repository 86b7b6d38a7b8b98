"""Time the homework of the original course service: six steps, a table and a picture.

    python -m benchmarks.homework

1.3 million sessions under random recommendations in a world of the original's listeners become the
lists of the best of 12 models; 2,000 sessions (seed 1337) say what these are worth against random.
Written to the folder: each step's own files, and `results.svg`, the original table as a picture. A
second run starts over.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import altair as alt
import orjson
import typer

from analysis.page import numbers
from analysis.page.forest import arm_colour
from benchmarks.charts import layered, plot, to_svg
from benchmarks.harness import (
    Measured,
    children_cpu_s,
    console,
    measure_module,
    show,
    show_machine,
)
from listening_loop.processes import free_port, serve, serving
from looplib.files import atomic_write_text

EXPERIMENT, SEED, CONFIGS = "HOMEWORK", 1337, Path("configs/homework")
# What is known of the homework's own times
IN_THE_HOMEWORK = {"search": "one to two hours on a YARN cluster"}


def main(
    out: Annotated[
        Path, typer.Option(help="Folder, which is emptied first; takes 3 GB.")
    ] = Path("out/homework"),
    sessions: Annotated[int, typer.Option(help="Sessions to learn from.")] = 1_300_000,
    episodes: Annotated[int, typer.Option(help="Sessions of the experiment.")] = 2000,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the search's settings."),
    ] = None,
) -> None:
    """Run the six steps, and print the table of their times."""
    shutil.rmtree(out, ignore_errors=True)
    world = Path("configs/world/course.yaml")
    measure_module("sim.world", config=world, out=out / "world")
    times = {}
    for name, step in steps_of(out, sessions, episodes, changes or []).items():
        console.print(f"{name} …")
        times[name] = step()
    report = orjson.loads((out / "report" / "report.json").read_bytes())
    atomic_write_text(out / "results.svg", draw_results(report["original_table"]))
    rows = []
    for name, found in times.items():
        shown = (f"{found.wall_s:.0f}", f"{found.cpu_s:.0f}", f"{found.peak_mib:,.0f}")
        rows.append((name, *shown, IN_THE_HOMEWORK.get(name, "")))
    wall_s = sum(found.wall_s for found in times.values())
    cpu_s = sum(found.cpu_s for found in times.values())
    rows.append(("all", f"{wall_s:.0f}", f"{cpu_s:.0f}", "", ""))
    show("The homework", ("step", "s", "CPU s", "peak MiB", "in the homework"), rows)
    show_machine("implicit", "dask", "duckdb", "numpy")
    console.print(times["report"].output)
    console.print(
        f"{out / 'results.svg'}, {out / 'report' / 'report.html'}, {out / 'run' / 'report.html'}"
    )


def steps_of(
    out: Path, sessions: int, episodes: int, changes: list[str]
) -> dict[str, Callable[[], Measured]]:
    """Return the steps by name, in order."""
    log, store, run = out / "log", out / "store", out / "run"
    collect = partial(measure_module, "sim.run", world=out / "world", log=log)
    changes = [f"catalogue={out / 'world' / 'tracks.json'}", *changes]
    sets = [f"--set={change}" for change in changes]
    search = partial(measure_module, "recsys.search", "--no-export", *sets)
    report = partial(measure_module, "analysis.ab", out / "service" / "log")
    return {
        "collect": partial(collect, episodes=sessions, seed=1),
        "ingest": partial(measure_module, "recsys.ingest", log, store=store),
        "search": partial(search, config=CONFIGS / "search.yaml", store=store, run=run),
        "export": partial(
            measure_module, "recsys.export", run=run, out=out / "published"
        ),
        "experiment": partial(_experiment, out, episodes),
        "report": partial(report, experiment=EXPERIMENT, out=out / "report"),
    }


def _experiment(out: Path, episodes: int) -> Measured:
    """Serve both arms, and let the listeners listen, one a request, 64 at a time."""
    port = free_port()
    service = serve(CONFIGS / "botify.yaml", out, out / "service" / "log", port)
    cpu_before_s = children_cpu_s()
    with serving(service, port):
        measured = measure_module(
            "sim.run",
            recommender="remote",
            world=out / "world",
            episodes=episodes,
            seed=SEED,
            concurrency=64,
            url=f"http://127.0.0.1:{port}",
        )
    # with the service's
    return replace(measured, cpu_s=children_cpu_s() - cpu_before_s)


def draw_results(table: list[dict[str, Any]]) -> str:
    """Draw the original table: each metric's effect in % with Welch's 95 % interval."""
    rows = []
    for found in table:
        effect, lower, upper = (
            found[key] for key in ("effect_pct", "lower_pct", "upper_pct")
        )
        row = {"metric": found["metric"], "text": ""}
        row["colour"] = arm_colour(1 if found["significant"] else 0)
        if effect is not None:
            ends = numbers.interval(lower, upper, 1)
            row |= {"value": effect, "lower": lower, "upper": upper}
            row["text"] = f"{numbers.change(effect, 1)} ({ends})"
        rows.append(row)
    title = "effect against random, %; blue: significant"
    x = alt.X("value:Q", title=title, axis=alt.Axis(grid=True, tickCount=5))
    y, above = (
        alt.Y("metric:O", axis=None, sort=None, bandPosition=place)
        for place in (0.76, 0.28)
    )
    colour, base = alt.Color("colour:N", scale=None), plot(rows)
    layers = [
        plot([{"value": 0}]).mark_rule().encode(x="value:Q"),
        base.mark_rule(strokeWidth=2.5).encode(
            x=alt.X("lower:Q"), x2="upper:Q", y=y, color=colour
        ),
        base.mark_point(size=80, filled=True, opacity=1).encode(x=x, y=y, color=colour),
        base.mark_text(align="left").encode(x=alt.value(0), y=above, text="metric:N"),
        base.mark_text(align="right").encode(
            x=alt.value("width"), y=above, text="text:N"
        ),
    ]
    return to_svg(layered(36 * len(rows), *layers))


if __name__ == "__main__":
    typer.run(main)
