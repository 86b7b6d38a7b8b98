"""Seconds of a fit, and until it is good: ours, `implicit`, irspack and PySpark ML, on the same interactions.

    python -m benchmarks.als                    # needs the extra `peers` and Java 17 or newer
    python -m benchmarks.als --no-spark

Three tables a rank: fits of five sweeps, with their loss; lists; and fits until they are good. Good is 99 % of the best
NDCG@30 that bare `implicit` reaches at that rank within `--sweeps` sweeps. Each system is followed, sweep by sweep and
outside the clock, until it is that good; then it is fitted anew for just so many sweeps, in turns with the others, and
that is timed: from the training interactions in memory to the factors. Spark shows nothing before its last sweep, so it
is run with `--sweeps` and its NDCG stands beside.

`implicit`, irspack and ours minimise one objective (confidence 1 + alpha r, 1 for what was not heard, one
regularization for all rows) with three steps of conjugate gradient a row. For irspack that is loss ORIGINAL, alpha0 1,
nu 0. Spark multiplies the regularization by each row's number of interactions and solves rows exactly; "ours, as Spark"
does both too. Starting the JVM, reading and a small fit to warm up are outside the clock.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
import typer
from implicit.cpu._als import calculate_loss
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.topk import topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.data import dataset_of
from benchmarks.harness import (
    SEED_CONFIG,
    SEED_STORE,
    console,
    memory_mib,
    seconds,
    show,
    show_machine,
    show_turns,
    take_turns,
)
from looplib.config import load_config
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams, Fit
from recsys.models.topk import personal_lists, top_tracks
from recsys.scoring import Scorer, validator_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOP, ALPHA, REGULARIZATION, SPARK_REGULARIZATION, SHARE, FIXED = 30, 10.0, 0.1, 0.001, 0.99, 5
WARM_UP = AlsParams(factors=16, regularization=0.1, alpha=1.0)


@dataclass(frozen=True)
class Given:
    """What every system gets: interactions of shape (listeners, tracks), and what scores its factors."""

    dataset: Dataset
    scorer: Scorer  # has the seed and the threads, too
    interactions: csr_matrix

    def values(self, base: float, slope: float) -> csr_matrix:
        """Return the interactions with the values base + slope x listening time."""
        values = np.float32(base) + np.float32(slope) * self.interactions.data
        return csr_matrix((values, self.interactions.indices, self.interactions.indptr), self.interactions.shape)

    def ndcg(self, fit: Fit) -> float:
        """Return NDCG@30 of each listener's best tracks."""
        lists = personal_lists(fit, self.dataset, "train", TOP, self.scorer.threads)
        found = validator_for(self.scorer).score(np.arange(len(lists)), lists.astype(np.int64))
        return found.metrics[f"ndcg@{TOP}"].value


Follow = Callable[[Given, AlsParams, int], Iterator[Fit]]


def ours(given: Given, params: AlsParams, sweeps: int) -> Iterator[Fit]:
    """Fit with this project's model."""
    model = Als(given.interactions, params, given.scorer.seed, given.scorer.threads)
    for _ in range(sweeps):
        model.sweep(1)
        yield model


def bare_implicit(params: AlsParams, sweeps: int, seed: int, threads: int) -> AlternatingLeastSquares:
    """Return the model of `implicit` with these parameters; its input is 1 + alpha x listening time."""
    return AlternatingLeastSquares(
        factors=params.factors,
        regularization=params.regularization,
        alpha=1.0,
        iterations=sweeps,
        num_threads=threads,
        random_state=seed,
    )


def implicit(given: Given, params: AlsParams, sweeps: int) -> Iterator[Fit]:
    """Fit with `implicit`, as a script would; each call of its fit goes on from the factors that are there."""
    confidence = given.values(1, params.alpha)
    model = bare_implicit(params, 1, given.scorer.seed, given.scorer.threads)
    for sweep in range(1, sweeps + 1):
        model.fit(confidence, show_progress=False)
        yield Fit(sweep, model.user_factors, model.item_factors)


def irspack(given: Given, params: AlsParams, sweeps: int, solver: Literal["CG", "IALSPP"] = "CG") -> Iterator[Fit]:
    """Fit with irspack."""
    from irspack import IALSRecommender

    model = IALSRecommender(
        given.values(0, params.alpha),
        n_components=params.factors,
        alpha0=1.0,
        reg=params.regularization,
        nu=0.0,
        loss_type="ORIGINAL",
        solver_type=solver,
        random_seed=given.scorer.seed,
        n_threads=given.scorer.threads,
    )
    model.start_learning()
    for sweep in range(1, sweeps + 1):
        model.run_epoch()
        yield Fit(sweep, model.get_user_embedding(), model.get_item_embedding())


SYSTEMS: dict[str, Follow] = {
    "implicit": implicit,
    "ours": ours,
    "irspack": irspack,
    "irspack iALS++": partial(irspack, solver="IALSPP"),
}


def main(
    config: Path = SEED_CONFIG,
    store: Path = SEED_STORE,
    rank: Annotated[list[int] | None, typer.Option(help="Repeatable; 32 and 64 where none is given.")] = None,
    sweeps: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    until_good: Annotated[bool, typer.Option(help="Whether equally good fits are compared, too.")] = True,
    spark: Annotated[bool, typer.Option(help="Whether Spark takes part.")] = True,
) -> None:
    """Compare at each rank, and print a table a rank."""
    settings = load_config(SearchConfig, config, [f"store={store}"])
    with open_cluster(settings.cluster) as cluster:
        dataset = dataset_of(settings, cluster)
    scorer = Scorer(dataset.address, settings.validation.model_copy(update={"ks": (TOP,)}), settings.seed, threads)
    given = Given(dataset, scorer, csr_matrix(dataset.matrix("train"), copy=True))
    ranks = rank or [32, 64]
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        for factors in ranks:
            params = AlsParams(factors, REGULARIZATION, ALPHA)
            _compare_sweeps(given, params, repeats)
            _compare_lists(given, params, repeats)
            if until_good:
                _compare(given, params, sweeps, repeats)
    if spark:
        with open_spark(threads) as session:
            interactions = to_spark(session, given.interactions)
            fit_with_spark(interactions, WARM_UP, 2, given)
            for factors in ranks:
                params = AlsParams(factors, SPARK_REGULARIZATION, ALPHA, spark=True, solver="cholesky")
                _compare_with_spark(given, interactions, params, sweeps)
    show_machine("implicit", "irspack", "numba", "numpy", "scipy", *(["pyspark"] if spark else []))


def _compare(given: Given, params: AlsParams, sweeps: int, repeats: int) -> None:
    """Compare fits that are equally good."""
    best = max(given.ndcg(fit) for fit in implicit(given, params, sweeps))
    needed = {}
    for name, follow in SYSTEMS.items():
        for fit in follow(given, params, sweeps):
            if (ndcg := given.ndcg(fit)) >= SHARE * best:
                break
        console.print(f"{name}: NDCG@{TOP} {ndcg:.4f} after {fit.sweeps} sweeps, {ndcg / best:.1%} of {best:.4f}")
        needed[name] = fit.sweeps
    _time(given, params, needed, repeats, "until it is good")


def _compare_sweeps(given: Given, params: AlsParams, repeats: int) -> None:
    """Compare fits of as many sweeps."""
    confidence = given.values(1, params.alpha)
    for name, follow in SYSTEMS.items():
        *_, fit = follow(given, params, FIXED)
        loss = calculate_loss(confidence, fit.user_factors, fit.item_factors, params.regularization)
        console.print(f"{name}: loss {loss:.6f} after {FIXED} sweeps")
    _time(given, params, dict.fromkeys(SYSTEMS, FIXED), repeats, f"{FIXED} sweeps")


def _compare_lists(given: Given, params: AlsParams, repeats: int) -> None:
    """Compare the time of the best tracks of all listeners, from the same factors."""
    fit, threads = next(ours(given, params, 1)), given.scorer.threads
    kinds = {
        "implicit": lambda: topk(fit.item_factors, fit.user_factors, TOP, num_threads=threads),
        "ours": lambda: top_tracks(fit.user_factors, fit.item_factors, TOP, threads),
    }
    turns = take_turns({name: partial(seconds, run) for name, run in kinds.items()}, repeats)
    results = {name: [cpu_s for _, cpu_s in runs] for name, runs in turns.items()}
    show_turns(f"rank {params.factors}, the {TOP} best tracks of all listeners, CPU seconds", results, "implicit")


def _time(given: Given, params: AlsParams, sweeps: Mapping[str, int], repeats: int, what: str) -> None:
    kinds = {name: partial(seconds, partial(_fit, SYSTEMS[name], given, params, sweeps[name])) for name in SYSTEMS}
    turns = take_turns(kinds, repeats)
    for column, unit in enumerate(("seconds", "CPU seconds")):
        results = {name: [run[column] for run in runs] for name, runs in turns.items()}
        show_turns(f"rank {params.factors}, {what}, {unit}", results, "implicit")


def _fit(follow: Follow, given: Given, params: AlsParams, sweeps: int) -> None:
    deque(follow(given, params, sweeps), maxlen=0)


def _compare_with_spark(given: Given, interactions: "DataFrame", params: AlsParams, sweeps: int) -> None:
    fits: list[Fit] = []
    ours_s, _ = seconds(lambda: fits.extend(ours(given, params, sweeps)))
    spark_s, _ = seconds(lambda: fits.append(fit_with_spark(interactions, params, sweeps, given)))
    rows = [
        (name, f"{took_s:.1f}", f"{took_s / ours_s:.1f}", f"{given.ndcg(fit):.4f}")
        for name, took_s, fit in (("ours, as Spark", ours_s, fits[-2]), ("PySpark ML", spark_s, fits[-1]))
    ]
    show(f"rank {params.factors}, {sweeps} sweeps", ("", "s", "x ours", f"NDCG@{TOP}"), rows)
    console.print(f"memory of this process, the JVM included: {memory_mib(os.getpid()):,.0f} MiB")


def fit_with_spark(interactions: "DataFrame", params: AlsParams, sweeps: int, given: Given) -> Fit:
    """Fit with the ALS of PySpark ML; a row that it does not know gets zeros."""
    from pyspark.ml.recommendation import ALS

    model = ALS(
        rank=params.factors,
        maxIter=sweeps,
        regParam=params.regularization,
        implicitPrefs=True,
        alpha=params.alpha,
        numUserBlocks=2 * given.scorer.threads,
        numItemBlocks=2 * given.scorer.threads,
        seed=given.scorer.seed,
        userCol="listener",
        itemCol="track",
        ratingCol="time",
    ).fit(interactions)
    sides = []
    for frame, rows in zip((model.userFactors, model.itemFactors), given.interactions.shape, strict=True):
        table = frame.toArrow()
        side = np.zeros((rows, params.factors), dtype=np.float32)
        side[table["id"].to_numpy()] = np.stack(table["features"].to_numpy())
        sides.append(side)
    return Fit(sweeps, *sides)


@contextmanager
def open_spark(threads: int) -> Iterator["SparkSession"]:
    """Open a local Spark session."""
    from pyspark.sql import SparkSession

    settings: dict[str, bool | float | int | str | None] = {
        "spark.master": f"local[{threads}]",
        "spark.driver.memory": "6g",  # a local session computes in the driver
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(2 * threads),
        "spark.ui.enabled": "false",
    }
    spark = SparkSession.builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def to_spark(spark: "SparkSession", interactions: csr_matrix) -> "DataFrame":
    """Put the training interactions into Spark's memory."""
    coordinates = interactions.tocoo()
    columns = {"listener": coordinates.row, "track": coordinates.col, "time": coordinates.data}
    frame = spark.createDataFrame(pa.table(columns)).cache()
    frame.count()  # reads it
    return frame


if __name__ == "__main__":
    typer.run(main)
