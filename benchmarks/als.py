"""Seconds until a fit is good: ours, `implicit`, irspack and PySpark ML, on the same interactions and the same split.

    python -m benchmarks.als                    # needs the extra `peers` and Java 17 or newer
    python -m benchmarks.als --no-spark

Good is 99 % of the best NDCG@30 that bare `implicit` reaches at that rank within `--sweeps` sweeps. Each system is
followed, sweep by sweep and outside the clock, until it is that good; then it is fitted anew for just so many sweeps,
in turns with the others, and that is timed: from the training interactions in memory to the factors. Spark shows
nothing before its last sweep, so it is run with `--sweeps` and its NDCG stands beside.

`implicit`, irspack and ours minimise one objective (confidence 1 + alpha r, 1 for what was not heard, one
regularization for all rows) with three steps of conjugate gradient a row. For irspack that is loss ORIGINAL, alpha0 1,
nu 0. Spark multiplies the regularization by each row's number of interactions and solves rows exactly; "ours, as Spark"
does both too. Starting the JVM, reading and a small fit to warm up are outside the clock.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from analysis.store import open_store
from benchmarks.harness import (
    SEED_CONFIG,
    SEED_STORE,
    console,
    median_ratio,
    memory_mib,
    show,
    show_machine,
    take_turns,
)
from looplib.arrays import Float32Array
from looplib.config import load_config
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams
from recsys.models.lists import personal_lists
from recsys.scoring.scorer import Scorer, validator_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOP, ALPHA, REGULARIZATION, SPARK_REGULARIZATION, SHARE = 30, 10.0, 0.1, 0.001, 0.99
WARM_UP = AlsParams(factors=16, regularization=0.1, alpha=1.0)


@dataclass(frozen=True)
class Factors:
    """Factors after some sweeps; shapes (listeners, factors) and (tracks, factors)."""

    sweeps: int
    user_factors: Float32Array
    item_factors: Float32Array


@dataclass(frozen=True)
class Given:
    """What every system is given: interactions of shape (listeners, tracks), the seed, and the threads."""

    interactions: csr_matrix
    seed: int
    threads: int

    def values(self, base: float, slope: float) -> csr_matrix:
        """Return the interactions with the values base + slope x listening time."""
        values = np.float32(base) + np.float32(slope) * self.interactions.data
        return csr_matrix((values, self.interactions.indices, self.interactions.indptr), self.interactions.shape)


Follow = Callable[[Given, AlsParams, int], Iterator[Factors]]


def ours(given: Given, params: AlsParams, sweeps: int) -> Iterator[Factors]:
    """Fit with this project's model."""
    model = Als(given.interactions, params, given.seed, given.threads)
    for _ in range(sweeps):
        model.sweep(1)
        yield Factors(model.sweeps, model.user_factors, model.item_factors)


def implicit(given: Given, params: AlsParams, sweeps: int) -> Iterator[Factors]:
    """Fit with `implicit`, as a script would; each call of its fit goes on from the factors that are there."""
    confidence = given.values(1, params.alpha)
    model = AlternatingLeastSquares(
        factors=params.factors,
        regularization=params.regularization,
        alpha=1.0,
        iterations=1,
        num_threads=given.threads,
        random_state=given.seed,
    )
    for sweep in range(1, sweeps + 1):
        model.fit(confidence, show_progress=False)
        yield Factors(sweep, model.user_factors, model.item_factors)


def irspack(given: Given, params: AlsParams, sweeps: int) -> Iterator[Factors]:
    """Fit with irspack."""
    from irspack import IALSRecommender

    model = IALSRecommender(
        given.values(0, params.alpha),
        n_components=params.factors,
        alpha0=1.0,
        reg=params.regularization,
        nu=0.0,
        loss_type="ORIGINAL",
        random_seed=given.seed,
        n_threads=given.threads,
    )
    model.start_learning()
    for sweep in range(1, sweeps + 1):
        model.run_epoch()
        yield Factors(sweep, model.get_user_embedding(), model.get_item_embedding())


def main(
    config: Path = SEED_CONFIG,
    store: Path = SEED_STORE,
    rank: Annotated[list[int] | None, typer.Option(help="Repeatable; 32 and 64 where none is given.")] = None,
    sweeps: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    spark: Annotated[bool, typer.Option(help="Whether Spark takes part.")] = True,
) -> None:
    """Compare at each rank, and print a table a rank."""
    settings = load_config(SearchConfig, config, [f"store={store}"])
    with open_cluster(settings.cluster) as cluster:
        dataset = build_dataset(open_store(store), settings, cluster, lambda _done, _note="": None)
    scorer = Scorer(dataset.path, settings.validation.model_copy(update={"ks": (TOP,)}), settings.seed, threads)
    mapped = dataset.matrix("train")
    given = Given(csr_matrix(mapped, copy=True), settings.seed, threads)
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        for factors in rank or [32, 64]:
            _compare(given, dataset, scorer, AlsParams(factors, REGULARIZATION, ALPHA), sweeps, repeats)
    if spark:
        with open_spark(threads) as (session, folder):
            interactions = to_spark(session, mapped, folder)
            for factors in rank or [32, 64]:
                params = AlsParams(factors, SPARK_REGULARIZATION, ALPHA, spark=True, solver="cholesky")
                _compare_with_spark(given, interactions, dataset, scorer, params, sweeps)
    show_machine("implicit", "irspack", "numpy", "scipy", *(["pyspark"] if spark else []))


def _ndcg(factors: Factors, dataset: Dataset, scorer: Scorer) -> float:
    lists = personal_lists(factors, dataset, "train", TOP, scorer.threads)
    scored = validator_for(scorer).score(np.arange(len(lists)), lists.astype(np.int64))
    return scored.metrics[f"ndcg@{TOP}"].value


def _compare(given: Given, dataset: Dataset, scorer: Scorer, params: AlsParams, sweeps: int, repeats: int) -> None:
    systems: dict[str, Follow] = {"implicit": implicit, "ours": ours, "irspack": irspack}
    best = max(_ndcg(factors, dataset, scorer) for factors in implicit(given, params, sweeps))
    needed: dict[str, tuple[int, float]] = {}
    for name, follow in systems.items():
        for factors in follow(given, params, sweeps):
            needed[name] = (factors.sweeps, _ndcg(factors, dataset, scorer))
            if needed[name][1] >= SHARE * best:
                break
    kinds = {name: partial(_seconds, systems[name], given, params, count) for name, (count, _) in needed.items()}
    turns = take_turns(kinds, repeats)
    rows = []
    for name, found in turns.items():
        walls, cpus = ([seconds[column] for seconds in found] for column in (0, 1))
        of_ours = [seconds[1] for seconds in turns["ours"]]
        count, ndcg = needed[name]
        cells = (f"{np.median(walls):.2f}", f"{np.median(cpus):.2f}", f"{median_ratio(cpus, of_ours):.2f}")
        rows.append((name, count, *cells, f"{ndcg:.4f}"))
    title = f"rank {params.factors}, until NDCG@{TOP} is {SHARE:.0%} of {best:.4f}"
    show(title, ("", "sweeps", "s", "CPU s", "CPU x ours", f"NDCG@{TOP}"), rows)


def _seconds(follow: Follow, given: Given, params: AlsParams, sweeps: int) -> tuple[float, float]:
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in follow(given, params, sweeps):
        pass
    return time.perf_counter() - began, time.process_time() - cpu_began


def _compare_with_spark(
    given: Given, interactions: "DataFrame", dataset: Dataset, scorer: Scorer, params: AlsParams, sweeps: int
) -> None:
    fit_with_spark(interactions, WARM_UP, 2, given)
    began = time.perf_counter()
    *_, own = ours(given, params, sweeps)
    middle = time.perf_counter()
    of_spark = fit_with_spark(interactions, params, sweeps, given)
    ended = time.perf_counter()
    rows = [
        ("ours, as Spark", f"{middle - began:.1f}", "1.0", f"{_ndcg(own, dataset, scorer):.4f}"),
        (
            "PySpark ML",
            f"{ended - middle:.1f}",
            f"{(ended - middle) / (middle - began):.1f}",
            f"{_ndcg(of_spark, dataset, scorer):.4f}",
        ),
    ]
    show(f"rank {params.factors}, {sweeps} sweeps", ("", "s", "x ours", f"NDCG@{TOP}"), rows)
    console.print(f"memory of this process, the JVM included: {memory_mib(os.getpid()):,.0f} MiB")


def fit_with_spark(interactions: "DataFrame", params: AlsParams, sweeps: int, given: Given) -> Factors:
    """Fit with the ALS of PySpark ML; a row that it does not know gets zeros."""
    from pyspark.ml.recommendation import ALS

    model = ALS(
        rank=params.factors,
        maxIter=sweeps,
        regParam=params.regularization,
        implicitPrefs=True,
        alpha=params.alpha,
        numUserBlocks=2 * given.threads,
        numItemBlocks=2 * given.threads,
        seed=given.seed,
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
    return Factors(sweeps, *sides)


@contextmanager
def open_spark(threads: int) -> Iterator[tuple["SparkSession", Path]]:
    """Open a local Spark session and a temporary folder, both gone at the end."""
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        builder = SparkSession.builder.master(f"local[{threads}]").appName("benchmark")
        settings = {
            "spark.driver.memory": "6g",  # a local session computes in the driver
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
            "spark.sql.shuffle.partitions": str(2 * threads),
            "spark.local.dir": folder,
            "spark.ui.enabled": "false",
        }
        for key, value in settings.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        try:
            yield spark, Path(folder)
        finally:
            spark.stop()


def to_spark(spark: "SparkSession", interactions: csr_matrix, folder: Path) -> "DataFrame":
    """Put the training interactions into Spark's memory."""
    coordinates = interactions.tocoo()
    columns = {"listener": coordinates.row, "track": coordinates.col, "time": coordinates.data}
    file = folder / "interactions.parquet"
    pq.write_table(pa.table(columns), file, row_group_size=1 << 18)  # several, since one thread reads a row group
    frame = spark.read.parquet(str(file)).cache()
    if frame.count() != interactions.nnz:
        raise RuntimeError(f"Spark read {frame.count():,} of {interactions.nnz:,} interactions")
    return frame


if __name__ == "__main__":
    typer.run(main)
