"""Fits of ours, `implicit`, irspack and PySpark ML on the same interactions, in one table.

    python -m benchmarks.als --rank 64 --threads 1   # needs the extra `peers`
    python -m benchmarks.als --rank 64 --spark       # and Java 17 or newer

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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import psutil
import pyarrow as pa
import typer
from implicit.cpu._als import calculate_loss
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.topk import topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.data import dataset_of
from benchmarks.harness import SEED_CONFIG, SEED_STORE, show, show_machine, take_turns
from looplib.als import AlsParams
from looplib.arrays import BoolArray, FloatArray
from looplib.config import load_config
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import Fit, first_factors, make_equations, sweep
from recsys.models.topk import personal_lists, top_tracks
from recsys.scoring import Scorer, validator_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOP, ALPHA, REGULARIZATION, SPARK_REGULARIZATION, FIXED = 30, 10.0, 0.1, 0.001, 5
WITHIN, SHARE = 1.001, 0.99  # of the two goals
KEY = ("interactions", "rank", "threads", "goal", "system")
# of the table: KEY, what `_row` adds, and for fits the sweeps and the loss or NDCG@30 after them
Row = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What every system gets: interactions (listeners, tracks), and a scorer of factors."""

    dataset: Dataset
    scorer: Scorer  # has the seed and the threads, too
    interactions: csr_matrix

    def values(self, base: float, slope: float) -> csr_matrix:
        """Return the interactions with the values base + slope x listening time."""
        values = np.float32(base) + np.float32(slope) * self.interactions.data
        return csr_matrix(
            (values, self.interactions.indices, self.interactions.indptr),
            self.interactions.shape,
        )

    def ndcg(self, fit: Fit) -> float:
        """Return NDCG@30 of each listener's best tracks."""
        lists = personal_lists(fit, self.dataset, "train", TOP, self.scorer.threads)
        found = validator_for(self.scorer).score(
            np.arange(len(lists)), lists.astype(np.int64), f"ndcg@{TOP}"
        )
        return found.metrics[f"ndcg@{TOP}"].value


System = Callable[
    [Given, AlsParams, int], Iterator[Fit]
]  # the fit after each of so many sweeps


def ours(given: Given, params: AlsParams, sweeps: int) -> Iterator[Fit]:
    """Fit with this project's model."""
    fit = first_factors(given.interactions.shape, params.factors, given.scorer.seed)
    listeners = make_equations(given.interactions, params)
    tracks = make_equations(csr_matrix(given.interactions.T), params)
    for _ in range(sweeps):
        sweep(fit, listeners, tracks, given.scorer.threads)
        yield fit


def bare_implicit(
    params: AlsParams, sweeps: int, seed: int, threads: int
) -> AlternatingLeastSquares:
    """Return the model of `implicit` with these parameters.

    Its input is 1 + alpha x listening time.
    """
    shared = {
        "alpha": 1.0,
        "iterations": sweeps,
        "num_threads": threads,
        "random_state": seed,
    }
    return AlternatingLeastSquares(
        factors=params.factors, regularization=params.regularization, **shared
    )


def implicit(given: Given, params: AlsParams, sweeps: int) -> Iterator[Fit]:
    """Fit with `implicit`: the loop of its `fit`, which itself shows nothing between sweeps."""
    by_listener = given.values(1, params.alpha)
    model = bare_implicit(params, 0, given.scorer.seed, given.scorer.threads)
    model.fit(by_listener, show_progress=False)  # draws the first factors
    users, items, by_track = (
        model.user_factors,
        model.item_factors,
        by_listener.T.tocsr(),
    )
    for number in range(1, sweeps + 1):
        model.solver(
            by_listener,
            users,
            items,
            params.regularization,
            num_threads=given.scorer.threads,
        )
        model.solver(
            by_track,
            items,
            users,
            params.regularization,
            num_threads=given.scorer.threads,
        )
        yield Fit(number, users, items)


def irspack(
    given: Given, params: AlsParams, sweeps: int, solver: Literal["CG", "IALSPP"] = "CG"
) -> Iterator[Fit]:
    """Fit with irspack."""
    from irspack import IALSRecommender

    seed, threads = given.scorer.seed, given.scorer.threads
    objective: dict[str, Any] = {
        "alpha0": 1.0,
        "reg": params.regularization,
        "nu": 0.0,
        "loss_type": "ORIGINAL",
    }
    how: dict[str, Any] = {
        "solver_type": solver,
        "random_seed": seed,
        "n_threads": threads,
    }
    model = IALSRecommender(
        given.values(0, params.alpha), params.factors, **objective, **how
    )
    model.start_learning()
    for number in range(1, sweeps + 1):
        model.run_epoch()
        yield Fit(number, model.get_user_embedding(), model.get_item_embedding())


SYSTEMS: dict[str, System] = {
    "ours": ours,
    "implicit": implicit,
    "irspack": irspack,
    "irspack iALS++": partial(irspack, solver="IALSPP"),
}


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
    rows: Annotated[Path, typer.Option(help="File of the rows, JSON lines.")] = Path(
        "out/benchmark/als.jsonl"
    ),
) -> None:
    """Compare at each rank, and print the table of all that was compared so far."""
    settings = load_config(SearchConfig, config, [f"store={store}"])
    with open_cluster(settings.cluster) as cluster:
        dataset = dataset_of(settings, cluster)
    scorer = Scorer(
        dataset.address,
        settings.validation.model_copy(update={"ks": (TOP,)}),
        settings.seed,
        threads,
    )
    given = Given(dataset, scorer, csr_matrix(dataset.matrix("train"), copy=True))
    found = {
        _key(row): row
        for row in map(
            json.loads, rows.read_text().splitlines() if rows.exists() else ()
        )
    }
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        for factors in rank or [32, 64]:
            measured = (compare_with_spark if spark else compare)(
                given, factors, sweeps, repeats
            )
            shared = {
                "interactions": given.interactions.nnz,
                "rank": factors,
                "threads": threads,
            }
            found |= {_key(row): row for row in (shared | row for row in measured)}
            rows.parent.mkdir(parents=True, exist_ok=True)
            rows.write_text(
                "".join(f"{json.dumps(found[key])}\n" for key in sorted(found))
            )
    _show(found)


def compare(given: Given, factors: int, sweeps: int, repeats: int) -> Iterator[Row]:
    """Measure each system until it has reached both goals, and the best tracks of all listeners."""
    params, threads = AlsParams(factors, REGULARIZATION, ALPHA), given.scorer.threads
    scores = {
        name: np.array(list(_scores(system, given, params, sweeps)))
        for name, system in SYSTEMS.items()
    }
    goals = (
        WITHIN * scores["implicit"][FIXED - 1, 0],
        SHARE * scores["implicit"][:, 1].max(),
    )
    reached = {
        name: (found[:, 0] <= goals[0], found[:, 1] >= goals[1])
        for name, found in scores.items()
    }
    needed = {name: [*map(_first, both)] for name, both in reached.items()}
    runs = {
        name: partial(SYSTEMS[name], given, params, max(sweep))
        for name, sweep in needed.items()
    }
    for name, turns in take_turns(
        {name: partial(_clocks, run) for name, run in runs.items()}, repeats
    ).items():
        for column, goal in enumerate(("loss", f"NDCG@{TOP}")):
            sweep = needed[name][column]
            yield _row(goal, name, turns, sweep) | {
                "sweeps": sweep,
                "value": scores[name][sweep - 1, column],
            }
    fit = next(ours(given, params, 1))
    lists = {
        "ours": lambda: [top_tracks(fit.user_factors, fit.item_factors, TOP, threads)],
        "implicit": lambda: [
            topk(fit.item_factors, fit.user_factors, TOP, num_threads=threads)
        ],
    }
    for name, turns in take_turns(
        {name: partial(_clocks, run) for name, run in lists.items()}, repeats
    ).items():
        yield _row("lists", name, turns, 1)


def _scores(
    system: System, given: Given, params: AlsParams, sweeps: int
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


def _clocks(run: Callable[[], Iterable[object]]) -> FloatArray:
    """Return CPU and wall seconds from the start to each yield of a run, shape (yields, 2)."""
    began = _now()
    return np.array([_now() for _ in run()]) - began


def _now() -> FloatArray:
    """Read the CPU seconds of this process and those below it, and the wall's."""
    itself = psutil.Process()
    processes = (itself, *itself.children(recursive=True))
    return np.array(
        [
            sum(sum(process.cpu_times()[:2]) for process in processes),
            time.perf_counter(),
        ]
    )


def _row(goal: str, system: str, turns: list[FloatArray], position: int) -> Row:
    cpu, wall = np.median([turn[position - 1] for turn in turns], axis=0).tolist()
    return {"goal": goal, "system": system, "cpu_s": cpu, "wall_s": wall}


def compare_with_spark(
    given: Given, factors: int, sweeps: int, repeats: int
) -> Iterator[Row]:
    """Measure so many sweeps of Spark, and ours until it is as good."""
    params = AlsParams(factors, REGULARIZATION, ALPHA)
    spark_params = replace(params, regularization=SPARK_REGULARIZATION)
    with open_spark(given.scorer.threads) as session:
        coordinates = given.interactions.tocoo()
        columns = {
            "listener": coordinates.row,
            "track": coordinates.col,
            "time": coordinates.data,
        }
        interactions = session.createDataFrame(pa.table(columns)).cache()
        interactions.count()  # reads it
        fit_with_spark(
            interactions, given, replace(spark_params, factors=16), 2
        )  # warms up
        theirs = given.ndcg(fit_with_spark(interactions, given, spark_params, sweeps))
        found = np.array([given.ndcg(fit) for fit in ours(given, params, sweeps)])
        sweep = _first(found >= theirs)
        runs: dict[str, Callable[[], Iterable[object]]] = {
            "ours": partial(ours, given, params, sweep),
            "PySpark ML": lambda: [
                fit_with_spark(interactions, given, spark_params, sweeps)
            ],
        }
        turns = take_turns(
            {name: partial(_clocks, run) for name, run in runs.items()}, repeats
        )
    yield _row("as Spark", "ours", turns["ours"], sweep) | {
        "sweeps": sweep,
        "value": found[sweep - 1],
    }
    yield _row("as Spark", "PySpark ML", turns["PySpark ML"], 1) | {
        "sweeps": sweeps,
        "value": theirs,
    }


def fit_with_spark(
    interactions: "DataFrame", given: Given, params: AlsParams, sweeps: int
) -> Fit:
    """Fit with the ALS of PySpark ML; a row that it does not know gets zeros."""
    from pyspark.ml.recommendation import ALS

    als = ALS(
        rank=params.factors,
        maxIter=sweeps,
        regParam=params.regularization,
        alpha=params.alpha,
    )
    als = (
        als.setImplicitPrefs(True)
        .setNumBlocks(2 * given.scorer.threads)
        .setSeed(given.scorer.seed)
    )
    model = (
        als.setUserCol("listener")
        .setItemCol("track")
        .setRatingCol("time")
        .fit(interactions)
    )
    sides = []
    for frame, rows in zip(
        (model.userFactors, model.itemFactors), given.interactions.shape, strict=True
    ):
        table = frame.toArrow()
        side = np.zeros((rows, params.factors), dtype=np.float32)
        side[table["id"].to_numpy()] = np.stack(table["features"].to_numpy())
        sides.append(side)
    return Fit(sweeps, *sides)


def open_spark(threads: int) -> "SparkSession":
    """Start a local Spark session, which ends with a `with`."""
    from pyspark.sql import SparkSession

    settings: dict[str, Any] = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(2 * threads),
        "spark.driver.memory": "6g",  # a local session computes in the driver
    }
    session = (
        SparkSession.builder.master(f"local[{threads}]")
        .config(map=settings)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _show(rows: dict[tuple[Any, ...], Row]) -> None:
    """Print the rows, with the share of each one's CPU seconds that ours take to the same goal."""
    cells = []
    for key, row in sorted(rows.items()):
        ratio = rows[(*key[:-1], "ours")]["cpu_s"] / row["cpu_s"]
        numbers = (*(row.get(name) for name in ("value", "cpu_s", "wall_s")), ratio)
        cells.append(
            (
                *key,
                row.get("sweeps", ""),
                *("" if number is None else f"{number:.4g}" for number in numbers),
            )
        )
    show(
        "CPU and wall seconds, medians",
        (*KEY, "sweeps", "reached", "CPU s", "wall s", "ours / it"),
        cells,
    )
    show_machine("implicit", "irspack", "numba", "numpy", "pyspark", "scipy")


if __name__ == "__main__":
    typer.run(main)
