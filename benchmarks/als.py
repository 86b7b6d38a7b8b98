"""Fits of ours, `implicit` and irspack to the same interactions, beside each other.

    python -m benchmarks.als --rank 64 --threads 1   # needs the extra `peers`
    python -m benchmarks.als --shape 360k            # see `benchmarks.als_shapes`

All minimise one objective (confidence 1 + alpha r, 1 for what was not heard, one regularization for
all rows). Each is followed, iteration by iteration and outside the clock, to the two goals of
docs/benchmarks.md. Then all are fitted anew, in turns, and the clocks are read after those
iterations.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from implicit.cpu._als import calculate_loss
from implicit.cpu.topk import topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.als_shapes import compare_shape
from benchmarks.als_systems import SYSTEMS, TOP, Data, System, ours
from benchmarks.data import dataset_of
from benchmarks.harness import SEED_CONFIG, SEED_STORE, show, show_machine, take_turns
from looplib.als import AlsConfig
from looplib.arrays import BoolArray, FloatArray
from looplib.config import load_config
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.search.scorer import Scorer

ALPHA, REGULARIZATION = 10.0, 0.1
FIXED = 5  # iterations of `implicit` whose loss is a goal
WITHIN, SHARE = 1.001, 0.99  # of the two goals
HEADER = ("goal", "system", "iterations", "reached", "CPU s", "wall s", "ours / it")
Run = Callable[[], Iterable[object]]
Cells = tuple[object, ...]


def main(
    config: Path = SEED_CONFIG,
    store: Path = SEED_STORE,
    rank: Annotated[
        list[int] | None,
        typer.Option(help="Repeatable; some of them where none is given."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    iterations: Annotated[int, typer.Option(min=FIXED, help="At most so many.")] = 10,
    repeats: int = 3,
    shape: Annotated[
        str | None, typer.Option(help="360k or ml20m: beside published figures.")
    ] = None,
    share: Annotated[
        float, typer.Option(help="Of the users of a shape's lists.")
    ] = 0.0,
) -> None:
    """Compare at each rank, and print a table of each."""
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        if shape:
            compare_shape(shape, rank or [64, 128, 256], threads, repeats, share)
            return
        data = load(config, store, threads)
        title = f"{data.interactions.nnz:,} interactions, {threads} threads"
        for factors in rank or [32, 64]:
            rows = list(compare(data, factors, iterations, repeats))
            show(f"{title}, rank {factors}: medians", HEADER, rows)
    show_machine("implicit", "irspack", "numba", "numpy", "scipy")


def load(config: Path, store: Path, threads: int) -> Data:
    """Build the dataset of a search, with a scorer of factors."""
    settings = load_config(SearchConfig, config, [f"store={store}"])
    with open_cluster(settings.cluster) as cluster:
        dataset = dataset_of(settings, cluster)
    validation = settings.validation.model_copy(update={"ks": (TOP,)})
    scorer = Scorer(dataset.address, validation, settings.seed, threads)
    return Data(scorer, csr_matrix(dataset.matrix("training"), copy=True))


def compare(data: Data, factors: int, iterations: int, repeats: int) -> Iterator[Cells]:
    """Measure each system until it has reached both goals, and the best tracks of all listeners."""
    params = AlsConfig(factors=factors, regularization=REGULARIZATION, alpha=ALPHA)
    threads = data.scorer.threads
    scores = {
        name: np.array(list(_scores(system, data, params, iterations)))
        for name, system in SYSTEMS.items()
    }
    losses, ndcgs = scores["implicit"].T
    loss, ndcg = WITHIN * losses[FIXED - 1], SHARE * ndcgs.max()
    needed = {
        name: (_first(values[:, 0] <= loss), _first(values[:, 1] >= ndcg))
        for name, values in scores.items()
    }
    runs: dict[str, Run] = {
        name: partial(SYSTEMS[name], data, params, max(both))
        for name, both in needed.items()
    }
    medians = _time(runs, repeats)
    for column, goal in enumerate(("loss", f"NDCG@{TOP}")):
        for name, counts in needed.items():
            count = counts[column]
            reached = f"{scores[name][count - 1, column]:.4g}"
            spent = medians[name][count - 1]
            share = medians["ours"][needed["ours"][column] - 1, 0] / spent[0]
            yield goal, name, count, reached, *_texts(*spent, share)
    model = next(ours(data, params, 1))
    users, items = model.user_factors, model.item_factors
    lists: dict[str, Run] = {
        "ours": lambda: [model.rank(TOP, threads)],
        "implicit": lambda: [topk(items, users, TOP, num_threads=threads)],
    }
    medians = _time(lists, repeats)
    for name, (spent,) in medians.items():
        share = medians["ours"][0, 0] / spent[0]
        yield "lists", name, "", "", *_texts(*spent, share)


def _scores(
    system: System, data: Data, params: AlsConfig, iterations: int
) -> Iterator[tuple[float, float]]:
    """Compute the loss, as `implicit` defines it, and NDCG@30 after each iteration."""
    confidence = data.values(1, params.alpha)
    for fit in system(data, params, iterations):
        loss = calculate_loss(
            confidence, fit.user_factors, fit.item_factors, params.regularization
        )
        yield loss, data.ndcg(fit)


def _first(reached: BoolArray) -> int:
    """Return the first iteration that reached a goal, the last one where none did."""
    return int(np.argmax(reached)) + 1 if reached.any() else len(reached)


def _time(runs: Mapping[str, Run], repeats: int) -> dict[str, FloatArray]:
    """Run all in turns; return the medians of each one's clocks, shape (yields, 2)."""
    timed = {name: partial(_clocks, run) for name, run in runs.items()}
    turns = take_turns(timed, repeats)
    return {name: np.median(clocks, axis=0) for name, clocks in turns.items()}


def _clocks(run: Run) -> FloatArray:
    """Return CPU and wall seconds from the start to each yield of a run, shape (yields, 2)."""
    began = _now()
    return np.array([_now() for _ in run()]) - began


def _now() -> FloatArray:
    return np.array([time.process_time(), time.perf_counter()])


def _texts(*numbers: float) -> list[str]:
    return [f"{number:.4g}" for number in numbers]


if __name__ == "__main__":
    typer.run(main)
