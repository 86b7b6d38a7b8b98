"""Fits of ours, `implicit`, irspack and PySpark ML on the same interactions, in one table.

    python -m benchmarks.als --rank 64 --threads 1   # needs the extra `peers`
    python -m benchmarks.als --rank 64 --spark       # and Java 17 or newer
    python -m benchmarks.als --shape 360k            # see `benchmarks.als_shapes`

A run adds its rows to a file, in place of earlier ones, and prints the table of all rows there.

`implicit`, irspack and ours minimise one objective (confidence 1 + alpha r, 1 for what was not
heard, one regularization for all rows). Each is followed, sweep by sweep and outside the clock, to
the two goals of docs/benchmarks.md. Then all are fitted anew, in turns, and the clocks are read
after those sweeps.

Spark multiplies the regularization by each row's number of interactions, and shows nothing before
its last sweep: it is fitted with `--sweeps`, and ours until NDCG@30 is as good. The JVM's start and
a small fit are outside the clock.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import typer
from implicit.cpu._als import calculate_loss
from implicit.cpu.topk import topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.als_shapes import compare_shape
from benchmarks.als_systems import (
    SYSTEMS,
    TOP,
    Given,
    System,
    fit_with_spark,
    open_spark,
    ours,
)
from benchmarks.data import dataset_of
from benchmarks.harness import SEED_CONFIG, SEED_STORE, show, show_machine, take_turns
from looplib.als import AlsConfig
from looplib.arrays import BoolArray, FloatArray
from looplib.config import load_config
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.models.factors import Factors
from recsys.search.scorer import Scorer

ALPHA, REGULARIZATION, SPARK_REGULARIZATION = 10.0, 0.1, 0.001
FIXED = 5  # sweeps of `implicit` whose loss is a goal
WITHIN, SHARE = 1.001, 0.99  # of the two goals
KEY = ("interactions", "rank", "threads", "goal", "system")
# of the table: KEY, what `_row` adds, and for fits the sweeps and the loss or NDCG@30 after them
Row = dict[str, Any]
Run = Callable[[], Iterable[object]]


def main(
    config: Path = SEED_CONFIG,
    store: Path = SEED_STORE,
    rank: Annotated[
        list[int] | None,
        typer.Option(help="Repeatable; 32 and 64 where none is given."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    sweeps: Annotated[int, typer.Option(min=FIXED, help="At most so many.")] = 10,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    spark: Annotated[bool, typer.Option(help="Compare with Spark instead.")] = False,
    shape: Annotated[
        str | None, typer.Option(help="360k or ml20m: beside published figures.")
    ] = None,
    share: Annotated[
        float, typer.Option(help="Of the users of a shape's lists.")
    ] = 0.0,
    rows: Annotated[Path, typer.Option(help="File of the rows, JSON lines.")] = Path(
        "out/benchmark/als.jsonl"
    ),
) -> None:
    """Compare at each rank, and print the table of all that was compared so far."""
    if shape:
        with threadpool_limits(1, user_api="blas"):
            compare_shape(shape, rank or [64, 128, 256], threads, repeats, share)
        return
    settings = load_config(SearchConfig, config, [f"store={store}"])
    with open_cluster(settings.cluster) as cluster:
        dataset = dataset_of(settings, cluster)
    validation = settings.validation.model_copy(update={"ks": (TOP,)})
    scorer = Scorer(dataset.address, validation, settings.seed, threads)
    given = Given(dataset, scorer, csr_matrix(dataset.matrix("training"), copy=True))
    lines = rows.read_text().splitlines() if rows.exists() else ()
    found = {_key(row): row for row in map(json.loads, lines)}
    rows.parent.mkdir(parents=True, exist_ok=True)
    measure = compare_with_spark if spark else compare
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        for factors in rank or [32, 64]:
            shared = {
                "interactions": given.interactions.nnz,
                "rank": factors,
                "threads": threads,
            }
            for measured in measure(given, factors, sweeps, repeats):
                row = shared | measured
                found[_key(row)] = row
            kept = (f"{json.dumps(found[key])}\n" for key in sorted(found))
            rows.write_text("".join(kept))
    _show(found)


def compare(given: Given, factors: int, sweeps: int, repeats: int) -> Iterator[Row]:
    """Measure each system until it has reached both goals, and the best tracks of all listeners."""
    params, threads = (
        AlsConfig(factors=factors, regularization=REGULARIZATION, alpha=ALPHA),
        given.scorer.threads,
    )
    scores = {
        name: np.array(list(_scores(system, given, params, sweeps)))
        for name, system in SYSTEMS.items()
    }
    losses, ndcgs = scores["implicit"].T
    loss, ndcg = WITHIN * losses[FIXED - 1], SHARE * ndcgs.max()
    needed = {
        name: (_first(found[:, 0] <= loss), _first(found[:, 1] >= ndcg))
        for name, found in scores.items()
    }
    runs: dict[str, Run] = {
        name: partial(SYSTEMS[name], given, params, max(both))
        for name, both in needed.items()
    }
    for name, turns in _time(runs, repeats).items():
        for column, goal in enumerate(("loss", f"NDCG@{TOP}")):
            sweep = needed[name][column]
            value = scores[name][sweep - 1, column]
            row = _row(goal, name, turns, sweep)
            yield row | {"sweeps": sweep, "value": value}
    fitted = next(ours(given, params, 1))
    users, items = fitted.user_factors, fitted.item_factors
    lists: dict[str, Run] = {
        "ours": lambda: [Factors(users, items).rank(TOP, threads)],
        "implicit": lambda: [topk(items, users, TOP, num_threads=threads)],
    }
    for name, turns in _time(lists, repeats).items():
        yield _row("lists", name, turns, 1)


def _scores(
    system: System, given: Given, params: AlsConfig, sweeps: int
) -> Iterator[tuple[float, float]]:
    """Compute the loss, as `implicit` defines it, and NDCG@30 after each sweep."""
    confidence = given.values(1, params.alpha)
    for fit in system(given, params, sweeps):
        loss = calculate_loss(
            confidence, fit.user_factors, fit.item_factors, params.regularization
        )
        yield loss, given.ndcg(fit)


def _first(reached: BoolArray) -> int:
    """Return the first sweep that reached a goal, the last one where none did."""
    return int(np.argmax(reached)) + 1 if reached.any() else len(reached)


def _time(runs: Mapping[str, Run], repeats: int) -> dict[str, list[FloatArray]]:
    """Run all in turns; return the clocks of each one's turns."""
    timed = {name: partial(_clocks, run) for name, run in runs.items()}
    return take_turns(timed, repeats)


def _clocks(run: Run) -> FloatArray:
    """Return CPU and wall seconds from the start to each yield of a run, shape (yields, 2)."""
    began = _now()
    return np.array([_now() for _ in run()]) - began


def _now() -> FloatArray:
    """Read the CPU seconds of this process and those below it, and the wall's."""
    itself = psutil.Process()
    processes = (itself, *itself.children(recursive=True))
    cpu_s = sum(sum(process.cpu_times()[:2]) for process in processes)
    return np.array([cpu_s, time.perf_counter()])


def _row(goal: str, system: str, turns: list[FloatArray], position: int) -> Row:
    cpu, wall = np.median([turn[position - 1] for turn in turns], axis=0).tolist()
    return {"goal": goal, "system": system, "cpu_s": cpu, "wall_s": wall}


def compare_with_spark(
    given: Given, factors: int, sweeps: int, repeats: int
) -> Iterator[Row]:
    """Measure so many sweeps of Spark, and ours until it is as good."""
    params = AlsConfig(factors=factors, regularization=REGULARIZATION, alpha=ALPHA)
    spark_params = params.model_copy(update={"regularization": SPARK_REGULARIZATION})
    with open_spark(given.scorer.threads) as session:
        coordinates = given.interactions.tocoo()
        columns = {
            "listener": coordinates.row,
            "track": coordinates.col,
            "time": coordinates.data,
        }
        interactions = session.createDataFrame(pa.table(columns)).cache()
        interactions.count()  # reads it
        fit = partial(fit_with_spark, interactions, given)
        fit(spark_params.model_copy(update={"factors": 16}), 2)  # warms up
        theirs = given.ndcg(fit(spark_params, sweeps))
        found = [given.ndcg(fitted) for fitted in ours(given, params, sweeps)]
        sweep = _first(np.array(found) >= theirs)
        runs: dict[str, Run] = {
            "ours": partial(ours, given, params, sweep),
            "PySpark ML": lambda: [fit(spark_params, sweeps)],
        }
        turns = _time(runs, repeats)
    row = _row("as Spark", "ours", turns["ours"], sweep)
    yield row | {"sweeps": sweep, "value": found[sweep - 1]}
    row = _row("as Spark", "PySpark ML", turns["PySpark ML"], 1)
    yield row | {"sweeps": sweeps, "value": theirs}


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _show(rows: dict[tuple[Any, ...], Row]) -> None:
    """Print the rows, with the share of each one's CPU seconds that ours take to the same goal."""
    cells = []
    for key, row in sorted(rows.items()):
        ratio = rows[(*key[:-1], "ours")]["cpu_s"] / row["cpu_s"]
        numbers = (row.get("value"), row["cpu_s"], row["wall_s"], ratio)
        texts = ("" if number is None else f"{number:.4g}" for number in numbers)
        cells.append((*key, row.get("sweeps", ""), *texts))
    header = (*KEY, "sweeps", "reached", "CPU s", "wall s", "ours / it")
    show("CPU and wall seconds, medians", header, cells)
    show_machine("implicit", "irspack", "numba", "numpy", "pyspark", "scipy")


if __name__ == "__main__":
    typer.run(main)
