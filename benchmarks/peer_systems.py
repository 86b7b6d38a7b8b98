"""The systems of `benchmarks.peers`, each fitted through its own interface."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from benchmarks.spark import make_spark_als
from looplib.errors import UserError
from recsys.models.als import Als, AlsParams
from recsys.models.params import Fit

if TYPE_CHECKING:
    from pyspark.ml.recommendation import ALSModel
    from pyspark.sql import DataFrame

OURS = "listening-loop"
COMMON, OF_SPARK = "the common one", "Spark's"


@dataclass(frozen=True)
class Given:
    """What every system is given.

    Attributes:
        interactions: Listening times for training, in memory; shape (listeners, tracks).
        seed: Of the first factors.
        threads: Of the solver.
    """

    interactions: csr_matrix
    seed: int
    threads: int

    def values(self, base: float, slope: float) -> csr_matrix:
        """The interactions with the values base + slope x listening time."""
        values = np.float32(base) + np.float32(slope) * self.interactions.data
        return csr_matrix((values, self.interactions.indices, self.interactions.indptr), self.interactions.shape)


@dataclass(frozen=True)
class Peer:
    """A system at one point.

    Attributes:
        name: As the table calls it.
        library: Whose version counts.
        objective: Which one it minimises.
        params: Of the fit.
        fit: Fits so many sweeps; gives what hands the factors over.
        follow: A fit that shows its factors after each of at most so many sweeps; None if the system cannot.
    """

    name: str
    library: str
    objective: str
    params: AlsParams
    fit: Callable[[int], Callable[[], Fit]]
    follow: Callable[[int], Iterator[Fit]] | None = None


def ours(given: Given, params: AlsParams, name: str = "ours") -> Peer:
    """This project's fit."""

    def start() -> Als:
        return Als(given.interactions, params, given.seed, given.threads)

    def follow(sweeps: int) -> Iterator[Fit]:
        model = start()
        for _ in range(sweeps):
            model.sweep(1)
            yield Fit(model.sweeps, model.user_factors, model.item_factors)

    def fit(sweeps: int) -> Callable[[], Fit]:
        model = start()
        model.sweep(sweeps)
        return lambda: Fit(sweeps, model.user_factors, model.item_factors)

    return Peer(name, OURS, OF_SPARK if params.spark else COMMON, params, fit, follow)


def bare_implicit(given: Given, params: AlsParams) -> Peer:
    """The library below ours, as a script would use it."""

    def start(sweeps: int) -> AlternatingLeastSquares:
        settings = {"factors": params.factors, "regularization": params.regularization, "random_state": given.seed}
        return AlternatingLeastSquares(alpha=1.0, iterations=sweeps, num_threads=given.threads, **settings)

    def follow(sweeps: int) -> Iterator[Fit]:
        confidence, model = given.values(1, params.alpha), start(1)
        for sweep in range(1, sweeps + 1):  # each call goes on from the factors that are there, to the bit
            model.fit(confidence, show_progress=False)
            yield Fit(sweep, model.user_factors, model.item_factors)

    def fit(sweeps: int) -> Callable[[], Fit]:
        model = start(sweeps)
        model.fit(given.values(1, params.alpha), show_progress=False)
        return lambda: Fit(sweeps, model.user_factors, model.item_factors)

    return Peer("bare implicit", "implicit", COMMON, params, fit, follow)


def irspack(given: Given, params: AlsParams) -> Peer:
    """The recommender of irspack.

    Raises:
        UserError: It is not installed.
    """
    try:
        from irspack import IALSRecommender
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; pip install -e '.[recsys,peers]' installs it") from None

    def start() -> Any:  # noqa: ANN401  a class that is imported above
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
        return model

    def follow(sweeps: int) -> Iterator[Fit]:
        model = start()
        for sweep in range(1, sweeps + 1):
            model.run_epoch()
            yield Fit(sweep, model.get_user_embedding(), model.get_item_embedding())

    def fit(sweeps: int) -> Callable[[], Fit]:
        model = start()
        for _ in range(sweeps):
            model.run_epoch()
        return lambda: Fit(sweeps, model.get_user_embedding(), model.get_item_embedding())

    return Peer("irspack", "irspack", COMMON, params, fit, follow)


def spark_ml(given: Given, interactions: "DataFrame", folder: Path, params: AlsParams) -> Peer:
    """The ALS of PySpark ML, which shows nothing before its last sweep."""

    def fit(sweeps: int) -> Callable[[], Fit]:
        model = make_spark_als(params, sweeps, given.seed, given.threads).fit(interactions)
        return lambda: _take_out(model, sweeps, given.interactions.shape, folder)

    return Peer("PySpark ML", "pyspark", OF_SPARK, params, fit)


def _take_out(model: "ALSModel", sweeps: int, shape: tuple[int, int], folder: Path) -> Fit:
    """Spark's factors; a row that it does not know has zeros."""
    sides = []
    for frame, rows in zip((model.userFactors, model.itemFactors), shape, strict=True):
        frame.write.mode("overwrite").parquet(str(folder / "factors"))
        table = pq.read_table(folder / "factors")
        side = np.zeros((rows, model.rank), dtype=np.float32)
        side[table["id"].to_numpy()] = np.array(table["features"].to_pylist(), dtype=np.float32)
        sides.append(side)
    return Fit(sweeps, *sides)
