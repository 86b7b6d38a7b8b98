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
import vl_convert

from analysis import page
from analysis.page import numbers
from analysis.page.forest import arm_colour
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
COLOURS = Path(page.__file__).with_name("templates") / "colours.css"
_SOFT = {"labelColor": "var(--soft)", "titleColor": "var(--soft)", "domain": False}
CHART_CONFIG = {
    "aria": False,  # a label for each mark would be read out one by one
    "background": None,
    "view": {"stroke": None},
    "axis": {**_SOFT, "gridColor": "var(--faint)", "ticks": False},
    "rule": {"color": "var(--soft)"},
    "text": {"color": "var(--text)", "align": "right"},
}


def main(
    out: Annotated[
        Path, typer.Option(help="Folder, which is emptied first; takes 3 GB.")
    ] = Path("out/homework"),
    sessions: Annotated[int, typer.Option(help="Sessions to learn from.")] = 1_300_000,
    episodes: Annotated[int, typer.Option(help="Sessions of the experiment.")] = 2000,
) -> None:
    """Run the six steps, and print the table of their times."""
    shutil.rmtree(out, ignore_errors=True)
    world = Path("configs/world/course.yaml")
    measure_module("sim.world", config=world, out=out / "world")
    times = {}
    for name, step in steps_of(out, sessions, episodes).items():
        console.print(f"{name} …")
        times[name] = step()
    report = orjson.loads((out / "report" / "report.json").read_bytes())
    table = [row for row in report["effects"] if row["role"] == "secondary"]
    atomic_write_text(out / "results.svg", draw_results(table))
    rows = [
        (name, f"{run.wall_s:.0f}", f"{run.cpu_s:.0f}", f"{run.peak_mib:,.0f}")
        for name, run in times.items()
    ]
    wall_s = sum(run.wall_s for run in times.values())
    cpu_s = sum(run.cpu_s for run in times.values())
    rows.append(("all", f"{wall_s:.0f}", f"{cpu_s:.0f}", ""))
    show("The homework", ("step", "s", "CPU s", "peak MiB"), rows)
    show_machine("implicit", "dask", "duckdb", "numpy")
    console.print(times["report"].output)
    console.print(
        f"{out / 'results.svg'}, {out / 'report' / 'report.html'}, {out / 'run' / 'report.html'}"
    )


def steps_of(
    out: Path, sessions: int, episodes: int
) -> dict[str, Callable[[], Measured]]:
    """List the steps by name, in order."""
    world, log, store, run = (out / name for name in ("world", "log", "store", "run"))
    catalogue = f"--set=catalogue={world / 'tracks.json'}"
    return {
        "collect": partial(
            measure_module, "sim.run", world=world, log=log, episodes=sessions, seed=1
        ),
        "ingest": partial(measure_module, "recsys.ingest", log, store=store),
        "search": partial(
            measure_module,
            "recsys.search",
            "--no-export",
            catalogue,
            config=CONFIGS / "search.yaml",
            store=store,
            run=run,
        ),
        "export": partial(
            measure_module, "recsys.export", run=run, out=out / "published"
        ),
        "experiment": partial(play_experiment, out, episodes),
        "report": partial(
            measure_module,
            "analysis.ab",
            out / "service" / "log",
            experiment=EXPERIMENT,
            config=CONFIGS / "ab.yaml",
            out=out / "report",
        ),
    }


def play_experiment(out: Path, episodes: int) -> Measured:
    """Serve both arms, and let the listeners listen, 64 requests at a time."""
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
            batch=1,
            concurrency=64,
            url=f"http://127.0.0.1:{port}",
        )
    # with the service's
    return replace(measured, cpu_s=children_cpu_s() - cpu_before_s)


def draw_results(table: list[dict[str, Any]]) -> str:
    """Draw the original table: each metric's effect in % with Welch's 95 % interval.

    Returns:
        SVG with the colours of the pages, in light and in dark.
    """
    rows = []
    for row in table:
        effect, lower, upper = (
            100 * row[end] / row["control_value"]
            for end in ("effect", "lower", "upper")
        )
        interval = numbers.interval(lower, upper, 1)
        values = {"effect": effect, "lower": lower, "upper": upper}
        text = f"{numbers.change(effect, 1)} ({interval})"
        colour = arm_colour(int(lower > 0 or upper < 0))
        values |= {"metric": row["metric"], "text": text, "colour": colour}
        rows.append(values)
    y = alt.Y("metric:N", sort=None, title=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=y, color=alt.Color("colour:N", scale=None)
    )
    x = alt.X("effect:Q", title="effect against random, %; blue: significant")
    intervals = base.mark_rule(strokeWidth=2.5).encode(x="lower:Q", x2="upper:Q")
    effects = base.mark_point(filled=True, size=80).encode(x=x)
    texts = base.mark_text(dy=-12).encode(x=alt.value("width"), text="text:N")
    layers = alt.LayerChart(layer=[intervals, effects, texts])
    chart = layers.properties(width=440, height=40 * len(rows))
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=CHART_CONFIG)
    opening, _, body = svg.partition(">")
    style = f"{COLOURS.read_text(encoding='utf-8')} svg {{ background: var(--page); }}"
    return f"{opening}><style>{style}</style>{body}"


if __name__ == "__main__":
    typer.run(main)
