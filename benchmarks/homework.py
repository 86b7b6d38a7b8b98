"""Time the homework of the original course service: six steps, and a table.

    python -m benchmarks.homework

1.3 million sessions under random recommendations in a world of the original's listeners become the
lists of the best of 12 models; 2,000 sessions (seed 1337) say what these are worth against random.
The folder has the files of each step. A second run starts over.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness import (
    Measured,
    children_cpu_s,
    console,
    measure_module,
    show,
    show_machine,
)
from listening_loop.processes import free_port, serve, serving

EXPERIMENT, SEED, CONFIGS = "HOMEWORK", 1337, Path("configs/homework")


def main(
    out: Annotated[
        Path, typer.Option(help="Folder, which is emptied first; takes 3 GB.")
    ] = Path("out/homework"),
    sessions: Annotated[int, typer.Option(help="Sessions to learn from.")] = 1_300_000,
    episodes: Annotated[int, typer.Option(help="Sessions of the experiment.")] = 2000,
) -> None:
    """Run the six steps, and print the table of their times."""
    shutil.rmtree(out, ignore_errors=True)
    world, log, store, run = (out / name for name in ("world", "log", "store", "run"))
    measure_module("sim.world", config="configs/world/course.yaml", out=world)
    steps = {
        "collect": measure_module(
            "sim.run", world=world, log=log, episodes=sessions, seed=1
        ),
        "ingest": measure_module("recsys.ingest", log, store=store),
        "search": measure_module(
            "recsys.search",
            "--no-export",
            f"--set=catalogue={world / 'tracks.json'}",
            config=CONFIGS / "search.yaml",
            store=store,
            run=run,
        ),
        "export": measure_module("recsys.export", run=run, out=out / "published"),
        "experiment": play_experiment(out, episodes),
        "report": measure_module(
            "analysis.ab",
            out / "service" / "log",
            experiment=EXPERIMENT,
            config=CONFIGS / "ab.yaml",
            out=out / "report",
        ),
    }
    rows = [
        (name, f"{step.wall_s:.0f}", f"{step.cpu_s:.0f}", f"{step.peak_mib:,.0f}")
        for name, step in steps.items()
    ]
    wall_s = sum(step.wall_s for step in steps.values())
    cpu_s = sum(step.cpu_s for step in steps.values())
    rows.append(("all", f"{wall_s:.0f}", f"{cpu_s:.0f}", ""))
    show("The homework", ("step", "s", "CPU s", "peak MiB"), rows)
    show_machine("implicit", "dask", "duckdb", "numpy")
    console.print(steps["report"].output)
    console.print(f"{out / 'report' / 'report.html'}, {run / 'report.html'}")


def play_experiment(out: Path, episodes: int) -> Measured:
    """Serve both arms, and let the listeners listen, 64 requests at a time."""
    port = free_port()
    service = serve(CONFIGS / "botify.yaml", out, out / "service" / "log", port)
    cpu_before_s = children_cpu_s()
    with serving(service, port):
        measured = measure_module(
            "sim.run",
            world=out / "world",
            episodes=episodes,
            seed=SEED,
            batch=1,
            url=f"http://127.0.0.1:{port}",
        )
    # with the service's
    return replace(measured, cpu_s=children_cpu_s() - cpu_before_s)


if __name__ == "__main__":
    typer.run(main)
