"""The search against its own fits, bare, and against itself: one worker, halving, and run a second time.

    python -m benchmarks.search compare

Bare is what a script would do: load the training matrix, fit each trial with `implicit` in one call, rank the 30 best
tracks of every listener once; no split, scores, intervals or cluster. It is measured with all cores in one fit and with
one fit on each core. A search is measured cold (its dataset is built from the store in the same run) and scores each
trial three times; "again" is the same command once more on the finished run.
"""

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.als import bare_implicit
from benchmarks.harness import (
    SEED_CONFIG,
    SEED_STORE,
    Measured,
    console,
    measure,
    median_ratio,
    python,
    show_commands,
    show_machine,
    take_turns,
)
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.dataset.build import plan_dataset
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.models.als import AlsParams
from recsys.runs.folder import read_run
from recsys.runs.trials import plan_candidates
from recsys.store.remote import open_store
from recsys.workspace import open_workspace

GRID, AGAIN, HALVING, ONE_WORKER = "grid", "grid, again", "halving", "grid, 1 worker"
BARE = ("bare, one fit on 2 threads", "bare, two fits on 1 thread")
SETTINGS = {
    GRID: ("cluster.workers=2",),
    AGAIN: ("cluster.workers=2",),
    HALVING: ("cluster.workers=2", "search.strategy=halving"),
    ONE_WORKER: ("cluster.workers=1",),
}
app = typer.Typer(add_completion=False)


@app.command()
def compare(
    config: Path = SEED_CONFIG,
    store: Annotated[Path, typer.Option(help="Session store, whose cache is emptied.")] = SEED_STORE,
    repeats: Annotated[int, typer.Option(min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("out/benchmark"),
) -> None:
    """Run every kind in turn and print the table."""
    kinds: dict[str, Callable[[], Measured]] = {name: partial(_search, config, store, out, name) for name in SETTINGS}
    for processes, name in enumerate(BARE, start=1):
        kinds[name] = partial(measure, python("-m", "benchmarks.search", "bare", config, store, processes))
    results = take_turns(kinds, repeats)
    show_commands(f"{config}, {repeats} turns", results, GRID)
    walls = {name: [run.wall_s for run in runs] for name, runs in results.items()}
    bare = [min(pair) for pair in zip(walls[BARE[0]], walls[BARE[1]], strict=True)]
    console.print(f"grid / the better bare: {median_ratio(walls[GRID], bare):.2f}")
    for name in (GRID, HALVING):
        _, winner = read_run(open_workspace(out / name))
        value = winner.metrics[winner.select][0]
        console.print(f"{name}: {winner.trial.params} after {winner.sweeps} sweeps, {winner.select} {value:.4f}")
    show_machine("implicit", "dask", "duckdb", "numpy", "scipy")


@app.command()
def bare(config: Path, store: Path, processes: int, part: int = -1) -> None:
    """Fit the trials of a search bare, in this process or shared out among several."""
    if processes > 1 and part < 0:
        argv = python("-m", "benchmarks.search", "bare", config, store, processes, "--part")
        running = [subprocess.Popen([*argv, str(number)]) for number in range(processes)]
        raise typer.Exit(max(process.wait() for process in running))
    settings = load_config(SearchConfig, config, [f"store={store}"])
    dataset = open_dataset(store / "cache" / plan_dataset(open_store(store), settings).digest)
    candidates = plan_candidates(settings.search, dataset.summary.digest, settings.seed)
    for trial in candidates[max(part, 0) :: processes]:
        _fit_bare(dataset, trial.params, settings.search.sweeps, settings.seed, 1 if processes > 1 else 0)


def _search(config: Path, store: Path, out: Path, name: str) -> Measured:
    run = out / (GRID if name == AGAIN else name)
    if name != AGAIN:
        shutil.rmtree(store / "cache", ignore_errors=True)
        shutil.rmtree(run, ignore_errors=True)
    sets = [word for setting in (*SETTINGS[name], "cluster.threads_per_fit=1") for word in ("--set", setting)]
    where = ("--config", config, "--store", store, "--run", run, "--no-export")
    return measure(python("-m", "recsys.search", *where, *sets))


def _fit_bare(dataset: Dataset, params: AlsParams, sweeps: int, seed: int, threads: int) -> None:
    confidence = dataset.matrix("train").copy()
    confidence.data = 1 + np.float32(params.alpha) * confidence.data
    model = bare_implicit(params, sweeps, seed, threads)
    model.fit(confidence, show_progress=False)
    model.recommend(np.arange(len(dataset.users)), confidence, N=30, filter_already_liked_items=False)


if __name__ == "__main__":
    app()
