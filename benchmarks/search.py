"""The search against its own fits, bare, and against itself: fewer workers, halving, and run a second time.

    python -m benchmarks.search compare --config configs/seed.yaml --repeats 2

Bare is what a script would do: load the training matrix, fit each trial with `implicit` in one call, rank the 30 best
tracks of every listener once; no split, no scores, no intervals, no cluster. It is measured with all cores in one fit
and with one fit on each core. A search is measured cold (its interactions are made from the store in the same run) and
scores each trial three times; "again" is the same command once more on the finished run. The kinds take turns, and a
ratio is the median of those of the turns.
"""

import json
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, machine, measure, python
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.dataset.dataset import dataset_digest, open_dataset
from recsys.runs.folder import read_run
from recsys.runs.trials import plan_candidates
from recsys.store.remote import open_store
from recsys.workspace import open_workspace

GRID, AGAIN, ONE = "grid, 2 workers", "grid, 2 workers, again", "grid, 1 worker"
HALVING, SAMPLED = "halving, 2 workers", "halving, 2 workers, a quarter of the listeners first"
BARE = ("bare, one fit on 2 threads", "bare, two fits on 1 thread")
LIBRARIES = ("implicit", "dask", "duckdb", "numpy", "scipy")
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Kind:
    """Something to measure.

    Attributes:
        name: As the table calls it.
        argv: Its command line.
        run: The run folder of a search; emptied before it, and the store's cache with it.
        resumes: Whether what an earlier kind left is kept instead.
    """

    name: str
    argv: list[str]
    run: Path | None = None
    resumes: bool = False


@app.command()
def compare(
    config: Annotated[Path, typer.Option()] = Path("configs/seed.yaml"),
    store: Annotated[Path | None, typer.Option(help="Session store, whose cache is emptied.")] = None,
    repeats: Annotated[int, typer.Option()] = 2,
    run_folder: Annotated[Path, typer.Option("--run")] = Path("out/benchmark"),
) -> None:
    """Runs every kind in turn and prints the table."""
    settings = load_config(SearchConfig, config, [] if store is None else [f"store={store}"])
    kinds = _kinds(config, Path(settings.store), run_folder)
    results: dict[str, list[Measured]] = {kind.name: [] for kind in kinds}
    for _ in range(repeats):
        for kind in kinds:
            if kind.run is not None and not kind.resumes:
                shutil.rmtree(Path(settings.store) / "cache", ignore_errors=True)
                shutil.rmtree(kind.run, ignore_errors=True)
            results[kind.name].append(measure(kind.argv))
            Console(stderr=True).print(f"{kind.name}: {results[kind.name][-1].wall_s:.1f} s")
    Console(width=120).print(_table(results, str(config)))
    for line in _ratios(results):
        Console(width=120).print(line)
    for kind in kinds:
        if kind.run is not None and not kind.resumes:
            Console(width=120).print(f"{kind.name}: {_winner(kind.run)}")
    Console(width=200).print(machine(*LIBRARIES))


def _kinds(config: Path, store: Path, folder: Path) -> list[Kind]:
    def search(name: str, *settings: str) -> list[str]:
        words = [word for setting in settings for word in ("--set", setting)]
        where = ("--config", config, "--store", store, "--run", folder / name, "--no-export")
        return python("-m", "recsys.search", *where, *words)

    def bare(processes: int) -> list[str]:
        where = ("--config", config, "--store", store, "--processes", processes)
        return python("-m", "benchmarks.search", "bare", *where)

    two, one = ("cluster.workers=2", "cluster.threads_per_fit=1"), ("cluster.workers=1", "cluster.threads_per_fit=1")
    return [
        Kind(GRID, search("grid", *two), folder / "grid"),
        Kind(AGAIN, search("grid", *two), folder / "grid", resumes=True),
        Kind(HALVING, search("halving", *two, "search.strategy=halving"), folder / "halving"),
        Kind(
            SAMPLED,
            search("sampled", *two, "search.strategy=halving", "search.halving.listeners=0.25"),
            folder / "sampled",
        ),
        Kind(ONE, search("one", *one), folder / "one"),
        Kind(BARE[0], bare(1)),
        Kind(BARE[1], bare(2)),
    ]


def _table(results: dict[str, list[Measured]], title: str) -> Table:
    table = Table("kind", "median s", "all runs s", "peak MiB", title=title)
    for kind, runs in results.items():
        walls = [run.wall_s for run in runs]
        peak = max(run.peak_mib for run in runs)
        every = ", ".join(f"{wall:.1f}" for wall in walls)
        table.add_row(kind, f"{statistics.median(walls):.1f}", every, f"{peak:,.0f}")
    return table


def _ratios(results: dict[str, list[Measured]]) -> list[str]:
    turns = [dict(zip(results, runs, strict=True)) for runs in zip(*results.values(), strict=True)]
    bare = [min(turn[name].wall_s for name in BARE) for turn in turns]
    pairs = {
        "grid / better bare": [turn[GRID].wall_s / wall for turn, wall in zip(turns, bare, strict=True)],
        "halving / grid": [turn[HALVING].wall_s / turn[GRID].wall_s for turn in turns],
        "halving, sampled / grid": [turn[SAMPLED].wall_s / turn[GRID].wall_s for turn in turns],
        "one worker / two": [turn[ONE].wall_s / turn[GRID].wall_s for turn in turns],
    }
    return [f"{name}: {statistics.median(values):.2f}" for name, values in pairs.items()]


def _winner(run: Path) -> str:
    _, winner = read_run(open_workspace(run))
    return f"{winner.trial.params} after {winner.sweeps} sweeps, {winner.select} {winner.metrics[winner.select][0]:.4f}"


@app.command()
def bare(
    config: Annotated[Path, typer.Option()],
    store: Annotated[Path | None, typer.Option()] = None,
    processes: int = 1,
    part: int = -1,
) -> None:
    """The bare fits, in this process or shared out among several."""
    import subprocess

    if processes > 1 and part < 0:
        where = ("--config", config, *(() if store is None else ("--store", store)))
        argv = python("-m", "benchmarks.search", "bare", *where, "--processes", processes, "--part")
        running = [subprocess.Popen([*argv, str(number)]) for number in range(processes)]
        codes = [process.wait() for process in running]
        raise typer.Exit(max(codes))
    settings = load_config(SearchConfig, config, [] if store is None else [f"store={store}"])
    opened = open_store(settings.store)
    dataset = open_dataset(opened.path / "cache" / dataset_digest(opened, settings))
    _fit_bare(dataset.path, settings, processes, max(part, 0))


def _fit_bare(dataset_path: Path, settings: SearchConfig, processes: int, part: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    dataset = open_dataset(dataset_path)
    interactions = dataset.matrix("train")
    everybody = np.arange(len(dataset.users))
    candidates = plan_candidates(settings.search, dataset.summary.digest, settings.seed)
    trials = [trial for candidate in candidates for trial in candidate]
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


if __name__ == "__main__":
    app()
