"""What systems do with the same interactions: a fit after each iteration, or one of Spark.

Each gets the same `Given` and hyperparameters; `benchmarks.als` measures them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Factors
from recsys.models.solver import first_factors, solve
from recsys.search.scorer import Scorer, validator_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOP = 30  # tracks of a list


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

    def ndcg(self, factors: Factors) -> float:
        """Return NDCG@30 of each listener's best tracks."""
        train = Interactions(self.interactions)
        lists = factors.recommend(train, TOP, self.scorer.threads)
        found = validator_for(self.scorer).score(
            np.arange(len(lists)), lists.astype(np.int64), f"ndcg@{TOP}"
        )
        return found.metrics[f"ndcg@{TOP}"].value


# the fit after each of so many iterations
System = Callable[[Given, AlsConfig, int], Iterator[Factors]]


def ours(given: Given, params: AlsConfig, iterations: int) -> Iterator[Factors]:
    """Fit with this project's model."""
    heard, threads = given.interactions, given.scorer.threads
    users, items = first_factors(heard.shape, params.factors, given.scorer.seed)
    by_track = csr_matrix(heard.T)
    for _ in range(iterations):
        solve(users, [items], heard, params, threads)
        solve(items, [users], by_track, params, threads)
        yield Factors(users, items)


def bare_implicit(
    params: AlsConfig, iterations: int, seed: int, threads: int
) -> AlternatingLeastSquares:
    """Return the model of `implicit` with these parameters.

    Its input is 1 + alpha x listening time.
    """
    return AlternatingLeastSquares(
        factors=params.factors,
        regularization=params.regularization,
        alpha=1.0,
        iterations=iterations,
        num_threads=threads,
        random_state=seed,
    )


def implicit(given: Given, params: AlsConfig, iterations: int) -> Iterator[Factors]:
    """Fit with `implicit`: the loop of its `fit`, which itself shows nothing between iterations."""
    threads = given.scorer.threads
    by_listener = given.values(1, params.alpha)
    by_track = by_listener.T.tocsr()
    model = bare_implicit(params, 0, given.scorer.seed, threads)
    model.fit(by_listener, show_progress=False)  # draws the first factors
    users, items = model.user_factors, model.item_factors
    solve = partial(model.solver, regularization=params.regularization)
    for _ in range(iterations):
        solve(by_listener, users, items, num_threads=threads)
        solve(by_track, items, users, num_threads=threads)
        yield Factors(users, items)


def irspack(
    given: Given,
    params: AlsConfig,
    iterations: int,
    solver: Literal["CG", "IALSPP"] = "CG",
) -> Iterator[Factors]:
    """Fit with irspack."""
    from irspack import IALSRecommender

    model = IALSRecommender(
        given.values(0, params.alpha),
        params.factors,
        alpha0=1.0,
        reg=params.regularization,
        nu=0.0,
        loss_type="ORIGINAL",
        solver_type=solver,
        random_seed=given.scorer.seed,
        n_threads=given.scorer.threads,
    )
    model.start_learning()
    for _ in range(iterations):
        model.run_epoch()
        yield Factors(model.get_user_embedding(), model.get_item_embedding())


SYSTEMS: dict[str, System] = {
    "ours": ours,
    "implicit": implicit,
    "irspack": irspack,
    "irspack iALS++": partial(irspack, solver="IALSPP"),
}


def fit_with_spark(
    interactions: "DataFrame", given: Given, params: AlsConfig, iterations: int
) -> Factors:
    """Fit with the ALS of PySpark ML; a row that it does not know gets zeros."""
    from pyspark.ml.recommendation import ALS

    blocks = 2 * given.scorer.threads
    als = ALS(
        rank=params.factors,
        maxIter=iterations,
        regParam=params.regularization,
        alpha=params.alpha,
        implicitPrefs=True,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        seed=given.scorer.seed,
        userCol="listener",
        itemCol="track",
        ratingCol="time",
    )
    model = als.fit(interactions)
    frames = (model.userFactors, model.itemFactors)
    sides = []
    for frame, rows in zip(frames, given.interactions.shape, strict=True):
        table = frame.toArrow()
        side = np.zeros((rows, params.factors), dtype=np.float32)
        side[table["id"].to_numpy()] = np.stack(table["features"].to_numpy())
        sides.append(side)
    return Factors(*sides)


def open_spark(threads: int) -> "SparkSession":
    """Start a local Spark session; a `with` block ends it."""
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
