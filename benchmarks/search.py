"""The search against its own fits, bare: what does everything around `implicit` cost?

    python -m benchmarks.search --config configs/seed.yaml --repeats 2

Bare is what a script would do: load the training matrix, fit each trial with `implicit` in one call, rank the 30 best
tracks of every listener once; no split, no scores, no intervals, no cluster. It is measured with all cores in one fit
and with one fit on each core. The search is measured cold (its interactions are made from the store in the same run)
and scores each trial three times; the kinds take turns, and the ratio is that of the medians.
"""

import json
import shutil
import statistics
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, machine, measure, python
from common.config import load_config
from recsys.config import SearchConfig
from recsys.dataset import dataset_digest, open_dataset
from recsys.store import open_store
from recsys.trials import plan_candidates

LIBRARIES = ("implicit", "dask", "duckdb", "numpy", "scipy")
app = typer.Typer(add_completion=False)


@app.command()
def compare(
    config: Annotated[Path, typer.Option()] = Path("configs/seed.yaml"),
    repeats: Annotated[int, typer.Option()] = 2,
    run_folder: Annotated[Path, typer.Option("--run")] = Path("out/benchmark/run"),
) -> None:
    """Runs every kind in turn and prints the table."""
    settings = load_config(SearchConfig, config)
    store = open_store(settings.store)
    cache = store.path / "cache"
    kinds = {
        "search, 2 workers x 1 thread": _search_argv(config, run_folder, workers=2, threads=1),
        "search, 1 worker x 2 threads": _search_argv(config, run_folder, workers=1, threads=2),
        "bare, one fit on 2 threads": python("-m", "benchmarks.search", "bare", "--config", config, "--processes", 1),
        "bare, two fits on 1 thread": python("-m", "benchmarks.search", "bare", "--config", config, "--processes", 2),
    }
    results: dict[str, list[Measured]] = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind, argv in kinds.items():
            if kind.startswith("search"):
                shutil.rmtree(cache, ignore_errors=True)
                shutil.rmtree(run_folder, ignore_errors=True)
            results[kind].append(measure(argv))
            Console(stderr=True).print(f"{kind}: {results[kind][-1].wall_s:.1f} s")
    seconds = {kind: statistics.median(run.wall_s for run in runs) for kind, runs in results.items()}
    bare = min(value for kind, value in seconds.items() if kind.startswith("bare"))
    table = Table("kind", "median s", "all runs s", "/ better bare", "peak MiB", title=str(config))
    for kind, runs in results.items():
        walls = ", ".join(f"{run.wall_s:.1f}" for run in runs)
        peak = max(run.peak_mib for run in runs)
        table.add_row(kind, f"{seconds[kind]:.1f}", walls, f"{seconds[kind] / bare:.2f}", f"{peak:,.0f}")
    Console(width=120).print(table)
    Console(width=200).print(machine(*LIBRARIES))


@app.command()
def bare(config: Annotated[Path, typer.Option()], processes: int = 1, part: int = -1) -> None:
    """The bare fits, in this process or shared out among several."""
    import subprocess

    if processes > 1 and part < 0:
        argv = python("-m", "benchmarks.search", "bare", "--config", config, "--processes", processes, "--part")
        running = [subprocess.Popen([*argv, str(number)]) for number in range(processes)]
        codes = [process.wait() for process in running]
        raise typer.Exit(max(codes))
    settings = load_config(SearchConfig, config)
    store = open_store(settings.store)
    dataset = open_dataset(store.path / "cache" / dataset_digest(store, settings))
    _fit_bare(dataset.path, settings, processes, max(part, 0))


def _fit_bare(dataset_path: Path, settings: SearchConfig, processes: int, part: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    dataset = open_dataset(dataset_path)
    interactions = dataset.matrix("train")
    everybody = np.arange(len(dataset.users))
    candidates = plan_candidates(settings.search, dataset.summary.digest, settings.seed)
    trials = [trial for candidate in candidates for trial in candidate.trials]
    for trial in trials[part::processes]:
        confidence = interactions.copy()
        confidence.data = 1 + np.float32(trial.params.alpha) * confidence.data
        model = AlternatingLeastSquares(
            factors=trial.params.factors,
            regularization=trial.params.regularization,
            alpha=1.0,
            iterations=settings.search.sweeps,
            num_threads=1 if processes > 1 else 0,
            random_state=trial.seed,
        )
        model.fit(confidence, show_progress=False)
        lists, _ = model.recommend(everybody, confidence, N=30, filter_already_liked_items=False)
        typer.echo(json.dumps({"factors": trial.params.factors, "lists": len(lists)}))


def _search_argv(config: Path, run_folder: Path, *, workers: int, threads: int) -> list[str]:
    sets = (f"cluster.workers={workers}", f"cluster.threads_per_fit={threads}")
    words = [word for setting in sets for word in ("--set", setting)]
    return python("-m", "recsys.search", "--config", config, "--run", run_folder, "--no-export", *words)


if __name__ == "__main__":
    app()
