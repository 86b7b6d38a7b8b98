"""The search against its own fits, bare, and against itself: one worker, and halving.

    python -m benchmarks.search compare
    python -m benchmarks.search compare --config mine.yaml --store out/mine/store

Bare is what a script would do: load the training matrix, fit each trial with `implicit` in one
call, rank the 30 best tracks of every listener once; no split, scores, intervals or cluster. It is
measured with all cores in one fit and with one fit on each core. A search is measured cold (its
dataset is built from the store in the same run) and scores each trial three times.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from implicit.cpu.als import AlternatingLeastSquares

from benchmarks import data, harness
from benchmarks.harness import (
    Measured,
    console,
    measure,
    measure_module,
    median_ratio,
    python,
)
from looplib.als import AlsConfig
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.plan import plan_dataset
from recsys.run import read_run
from recsys.search.trials import plan_trials
from recsys.storage import open_workspace
from recsys.store.reader import open_store

BARE = ("bare, one fit on 2 threads", "bare, two fits on 1 thread")
SETTINGS = {
    "grid": ("cluster.workers=2",),
    "halving": ("cluster.workers=2", "search.strategy=halving"),
    "grid, 1 worker": ("cluster.workers=1",),
}
app = typer.Typer(add_completion=False)


@app.command()
def compare(
    config: Path = Path("configs/seed.yaml"),
    store: Annotated[
        Path, typer.Option(help="Session store, whose cache is emptied.")
    ] = harness.SEED_STORE,
    repeats: int = 2,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path(
        "out/benchmark"
    ),
) -> None:
    """Run every kind in turn and print the table; make the default store if it is missing."""
    if store == harness.SEED_STORE:
        data.main()
    kinds = {name: partial(_search, config, store, out, name) for name in SETTINGS}
    for processes, name in enumerate(BARE, start=1):
        words = ("benchmarks.search", "bare", config, store, processes)
        kinds[name] = partial(measure, python("-m", *words))
    results = harness.take_turns(kinds, repeats)
    harness.show_commands(f"{config}, {repeats} turns", results, "grid")
    for name in SETTINGS:
        _, winner = read_run(open_workspace(out / name))
        worth = f"{winner.select} {winner.metrics[winner.select].value:.4f}"
        cpu, wall = (
            _to_the_better_bare(results, name, unit) for unit in ("cpu_s", "wall_s")
        )
        console.print(
            f"{name}: {cpu:.2f} x the CPU and {wall:.2f} x the wall seconds of the better bare\n"
            f"    {winner.trial.params} after {winner.iterations} iterations, {worth}"
        )
    harness.show_machine("implicit", "dask", "duckdb", "numpy", "scipy")


def _to_the_better_bare(
    results: Mapping[str, Sequence[Measured]], name: str, unit: str
) -> float:
    """Return the median over the turns of the seconds of a kind by the fewest of a bare one."""
    seconds = {
        kind: [getattr(run, unit) for run in runs] for kind, runs in results.items()
    }
    return median_ratio(
        seconds[name], [min(turn) for turn in zip(*map(seconds.get, BARE), strict=True)]
    )


@app.command()
def bare(config: Path, store: Path, processes: int, part: int = -1) -> None:
    """Fit the trials of a search bare, in this process or shared out among several."""
    if processes > 1 and part < 0:
        argv = python("-m", "benchmarks.search", "bare", config, store, processes)
        running = [
            subprocess.Popen([*argv, f"--part={number}"]) for number in range(processes)
        ]
        raise typer.Exit(max(process.wait() for process in running))
    settings = load_config(SearchConfig, config, [f"store={store}"])
    digest = plan_dataset(open_store(store), settings).digest
    dataset = open_dataset(store / "cache" / digest)
    trials = plan_trials(settings.models, dataset.summary.digest, settings.seed)
    iterations, threads = settings.search.iterations, 1 if processes > 1 else 0
    for trial in trials[max(part, 0) :: processes]:
        als = AlsConfig(**trial.params)
        _fit_bare(dataset, als, iterations, settings.seed, threads)


def _search(config: Path, store: Path, out: Path, name: str) -> Measured:
    for folder in (store / "cache", out / name):
        shutil.rmtree(folder, ignore_errors=True)
    settings = SETTINGS[name]
    sets = [f"--set={setting}" for setting in settings]
    run = out / name
    return measure_module(
        "recsys.search", "--no-export", *sets, config=config, store=store, run=run
    )


def _fit_bare(
    dataset: Dataset, params: AlsConfig, iterations: int, seed: int, threads: int
) -> None:
    confidence = dataset.matrix("training").copy()
    confidence.data = 1 + np.float32(params.alpha) * confidence.data
    model = AlternatingLeastSquares(
        params.factors,
        params.regularization,
        iterations=iterations,
        num_threads=threads,
        random_state=seed,
    )
    model.fit(confidence, show_progress=False)
    model.recommend(
        np.arange(len(dataset.users)),
        confidence,
        N=30,
        filter_already_liked_items=False,
    )


if __name__ == "__main__":
    app()
