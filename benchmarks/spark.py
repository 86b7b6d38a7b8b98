"""Our ALS against that of PySpark ML, on the same interactions: seconds, and NDCG of the lists.

    python -m benchmarks.spark --config configs/seed.yaml --points 32,64 --sweeps 10

It needs Java 17 or newer and the extras `spark` and `recsys`; Spark runs in one local JVM with as many threads as ours.
A turn is one fit and the lists of all listeners, first ours, then Spark's. Outside the clock are starting the JVM,
reading the interactions (they are cached in Spark's memory), a small fit of either to warm it up, and scoring.

Both give an interaction r the confidence 1 + alpha r. Three things differ:

- Spark multiplies the regularization of a row by the row's number of interactions, so the same value pulls harder.
  Spark is therefore also given lower values, and the one with the best NDCG counts as its result; it is chosen on the
  sessions that score it, which favours Spark.
- Spark solves each row exactly (Cholesky), ours takes three steps of conjugate gradient. A sweep of Spark's may thus be
  worth more: `--parity-sweeps 5` also runs its best value with 5 sweeps, which says how soon it reaches our NDCG.
- The first factors are others.

Spark's blocks are two a thread instead of its default of ten, which costs it time on a single machine. Its linear
algebra is compiled where the system has libblas.so.3 and liblapack.so.3, and Java elsewhere; the foot says which.
"""

import ctypes.util
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from analysis.validation.validator import Metric
from benchmarks.measure import machine
from looplib.arrays import Int32Array
from looplib.cli import make_app, run
from looplib.config import load_config
from looplib.errors import UserError
from looplib.progress import console, progress
from recsys.cluster.cluster import open_cluster
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset, dataset_digest, open_dataset
from recsys.models.als import Als, AlsParams
from recsys.models.lists import personal_lists, without_interactions
from recsys.models.topk import NO_TRACK
from recsys.scoring.scorer import Scorer, validator_for
from recsys.store.remote import open_store

if TYPE_CHECKING:
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import DataFrame, SparkSession

PROG = "python -m benchmarks.spark"
LIBRARIES = ("pyspark", "implicit", "numpy", "scipy")
TOP = 30
WARM_UP = AlsParams(factors=16, regularization=0.1, alpha=1.0)
WARM_UP_SWEEPS = 2
NumberT = TypeVar("NumberT", int, float)
app = make_app("Our ALS against that of PySpark ML, on the same interactions: seconds, and NDCG of the lists.")


@dataclass(frozen=True)
class Turn:
    """One fit and its lists.

    Attributes:
        system: "ours" or "Spark".
        params: Of the fit.
        sweeps: Of the fit.
        fit_s: Seconds of the fit.
        lists_s: Seconds of the lists of all listeners.
        ndcg: NDCG of the lists.
    """

    system: str
    params: AlsParams
    sweeps: int
    fit_s: float
    lists_s: float
    ndcg: Metric


@dataclass(frozen=True)
class Bench:
    """What every turn of a comparison shares.

    Attributes:
        dataset: Whose training interactions are fitted.
        scorer: Scores the lists, and says the seed and the threads of the fits.
        interactions: The training interactions as Spark has them: listener and track (row and column), time.
        folder: For what Spark writes.
    """

    dataset: Dataset
    scorer: Scorer
    interactions: "DataFrame"
    folder: Path

    def ours(self, params: AlsParams, sweeps: int) -> Turn:
        """A turn of ours."""
        began = time.perf_counter()
        model = Als(self.dataset.matrix("train"), params, self.scorer.seed, self.scorer.threads)
        model.sweep(sweeps)
        fitted = time.perf_counter()
        lists = personal_lists(model, self.dataset, "train", TOP, self.scorer.threads)
        listed = time.perf_counter()
        return self._score("ours", params, sweeps, (began, fitted, listed), lists)

    def spark(self, params: AlsParams, sweeps: int) -> Turn:
        """A turn of Spark's, whose lists are done when they are written to Parquet."""
        als = make_spark_als(params, sweeps, self.scorer.seed, self.scorer.threads)
        file = self.folder / "lists"
        began = time.perf_counter()
        model = als.fit(self.interactions)
        fitted = time.perf_counter()
        lists = model.recommendForAllUsers(TOP).selectExpr("listener", "recommendations.track AS tracks")
        lists.write.mode("overwrite").parquet(str(file))
        listed = time.perf_counter()
        return self._score("Spark", params, sweeps, (began, fitted, listed), _read_lists(file, self.dataset))

    def _score(
        self, system: str, params: AlsParams, sweeps: int, clock: tuple[float, float, float], lists: Int32Array
    ) -> Turn:
        began, fitted, listed = clock
        # The search's own validator: the same held-out listening and the same resamples for every turn.
        validation = validator_for(self.scorer).score(np.arange(len(lists)), lists.astype(np.int64))
        turn = Turn(system, params, sweeps, fitted - began, listed - fitted, validation.metric(f"ndcg@{TOP}"))
        console.print(
            f"{system}, rank {params.factors}, regularization {params.regularization:g}, {sweeps} sweeps: "
            f"fit {turn.fit_s:.1f} s, lists {turn.lists_s:.1f} s, NDCG@{TOP} {turn.ndcg.value:.4f}",
            soft_wrap=True,
        )
        return turn


@app.command(epilog=f"Example: {PROG} --config configs/seed.yaml --points 32,64 --sweeps 10 --parity-sweeps 5")
def main(
    config: Annotated[Path, typer.Option(help="The search's YAML; its store, split and validation count.")],
    store: Annotated[Path | None, typer.Option(help="Session store; wins over the file's.")] = None,
    points: Annotated[str, typer.Option(help="Ranks to compare at, such as 32,64.")] = "32,64",
    alpha: Annotated[float, typer.Option(help="Confidence that a unit of listening time adds.")] = 10.0,
    regularization: Annotated[float, typer.Option(help="Ours, and Spark's first regParam.")] = 0.1,
    lower: Annotated[str, typer.Option(help="Further values of Spark's regParam.")] = "0.01,0.001",
    sweeps: Annotated[int, typer.Option(min=1, help="Sweeps of both (Spark's maxIter).")] = 10,
    parity_sweeps: Annotated[str, typer.Option(help="Sweeps that Spark's best regParam is also run with.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of both.")] = 2,
    memory: Annotated[str, typer.Option(help="Heap of Spark's JVM.")] = "6g",
) -> None:
    """Compares, and prints the table."""
    settings = load_config(SearchConfig, config, [] if store is None else [f"store={store}"])
    reg_params = [regularization, *(value for value in numbers_of(lower, float) if value != regularization)]
    ranks, fewer_sweeps = numbers_of(points, int), numbers_of(parity_sweeps, int)
    compared: list[list[Turn]] = []
    with open_spark(threads, memory) as (spark, folder):
        dataset = prepare_dataset(settings)
        validation = settings.validation.model_copy(update={"ks": (TOP,)})
        scorer = Scorer(dataset.address, validation, settings.seed, threads)
        bench = Bench(dataset, scorer, give_to_spark(spark, dataset, folder), folder)
        bench.ours(WARM_UP, WARM_UP_SWEEPS)
        bench.spark(WARM_UP, WARM_UP_SWEEPS)
        for rank in ranks:
            params = [AlsParams(rank, value, alpha) for value in reg_params]
            compared.append(_compare(bench, params, sweeps, fewer_sweeps))
        java = java_of(spark)
    output = Console(width=120)
    output.print(_table(compared, dataset, alpha, threads))
    output.print(f"{machine(*LIBRARIES)}; {java}, heap {memory}", soft_wrap=True, highlight=False)


def make_spark_als(params: AlsParams, sweeps: int, seed: int, threads: int) -> "ALS":
    """Spark's estimator for the interactions of `give_to_spark`."""
    from pyspark.ml.recommendation import ALS

    return ALS(
        rank=params.factors,
        maxIter=sweeps,
        regParam=params.regularization,
        implicitPrefs=True,
        alpha=params.alpha,
        nonnegative=False,
        coldStartStrategy="drop",
        numUserBlocks=2 * threads,
        numItemBlocks=2 * threads,
        seed=seed,
        userCol="listener",
        itemCol="track",
        ratingCol="time",
    )


def _compare(bench: Bench, params: Sequence[AlsParams], sweeps: int, parity_sweeps: Sequence[int]) -> list[Turn]:
    """The turns at one point: ours always with the first parameters, Spark's with each of them."""
    turns: list[Turn] = []
    for of_spark in params:
        turns += [bench.ours(params[0], sweeps), bench.spark(of_spark, sweeps)]
    best = _best_of_spark(turns)
    turns += [bench.spark(best.params, fewer) for fewer in parity_sweeps]
    return turns


def _best_of_spark(turns: Sequence[Turn]) -> Turn:
    """Spark's turn with the highest NDCG, of those with all sweeps; those come first."""
    of_spark = [turn for turn in turns if turn.system == "Spark"]
    return max((turn for turn in of_spark if turn.sweeps == of_spark[0].sweeps), key=lambda turn: turn.ndcg.value)


def prepare_dataset(settings: SearchConfig) -> Dataset:
    """The dataset of a search with this configuration, from the store's cache where it is there."""
    store = open_store(settings.store)
    path = store.path / "cache" / dataset_digest(store, settings)
    if path.exists():
        return open_dataset(path)
    with open_cluster(settings.cluster) as cluster, progress("Sessions to interactions", 100, "%") as report:
        return build_dataset(store, settings, cluster, report)


@contextmanager
def open_spark(threads: int, memory: str) -> Iterator[tuple["SparkSession", Path]]:
    """A local Spark session and a temporary folder, both gone at the end.

    Raises:
        UserError: PySpark is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; pip install -e '.[recsys,spark]' installs it") from None
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        builder = SparkSession.builder.master(f"local[{threads}]").appName(PROG)
        for key, value in _spark_settings(threads, memory, folder).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        try:
            yield spark, Path(folder)
        finally:
            spark.stop()


def _spark_settings(threads: int, memory: str, folder: str) -> dict[str, str]:
    return {
        "spark.driver.memory": memory,  # a local session computes in the driver
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.sql.shuffle.partitions": str(2 * threads),
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def java_of(spark: "SparkSession") -> str:
    """Spark's Java, and what does its linear algebra."""
    row = spark.sql("SELECT java_method('java.lang.System', 'getProperty', 'java.version')").head()
    native = all(ctypes.util.find_library(library) for library in ("blas", "lapack"))
    return f"Java {row[0] if row else '?'}, {'compiled' if native else 'no compiled'} BLAS and LAPACK"


def give_to_spark(spark: "SparkSession", dataset: Dataset, folder: Path) -> "DataFrame":
    """Writes the training interactions to Parquet; Spark reads them into its memory."""
    interactions = dataset.matrix("train").tocoo()
    columns = {"listener": interactions.row, "track": interactions.col, "time": interactions.data}
    file = folder / "interactions.parquet"
    # A row group is read by one thread, so there are several.
    pq.write_table(pa.table(columns), file, row_group_size=1 << 18)
    frame = spark.read.parquet(str(file)).cache()
    if frame.count() != dataset.summary.interactions:
        raise RuntimeError(f"Spark read {frame.count():,} of {dataset.summary.interactions:,} interactions")
    return frame


def _read_lists(file: Path, dataset: Dataset) -> Int32Array:
    """Spark's lists, shape (listeners, 30); listeners without an interaction get the popular tracks, as in ours."""
    lists = np.full((len(dataset.users), TOP), NO_TRACK, dtype=np.int32)
    lists[without_interactions(dataset.matrix("train"))] = dataset.most_popular("train", TOP)
    for row in pq.read_table(file).to_pylist():
        lists[row["listener"], : len(row["tracks"])] = row["tracks"]
    return lists


def _table(compared: Sequence[Sequence[Turn]], dataset: Dataset, alpha: float, threads: int) -> Table:
    facts = dataset.summary
    table = Table(
        *("rank", "system", "regularization", "sweeps", "fit s", f"top {TOP} s", "Spark / ours"),
        f"NDCG@{TOP} [95 % interval]",
        title=f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, {facts.interactions:,} interactions; "
        f"alpha {alpha:g}, {threads} threads",
        caption="Spark / ours: fit and lists together. Spark multiplies the regularization by each row's count: the "
        "same number is stronger there, so lower ones are tried too; best: the highest NDCG at equal sweeps. Ours: the "
        "median seconds of its turns.",
    )
    for turns in compared:
        ours = [turn for turn in turns if turn.system == "ours"]
        fit_s, lists_s = (statistics.median(each) for each in zip(*((t.fit_s, t.lists_s) for t in ours), strict=True))
        table.add_row(*_cells(Turn("ours", ours[0].params, ours[0].sweeps, fit_s, lists_s, ours[0].ndcg), None))
        best = _best_of_spark(turns)
        for turn in turns:
            if turn.system == "Spark":
                ratio = (turn.fit_s + turn.lists_s) / (fit_s + lists_s)
                table.add_row(*_cells(turn, ratio, "Spark, best" if turn is best else "Spark"))
        table.add_section()
    return table


def _cells(turn: Turn, ratio: float | None, name: str = "ours") -> tuple[str, ...]:
    return (
        str(turn.params.factors),
        name,
        f"{turn.params.regularization:g}" + (" x count" if turn.system == "Spark" else ""),
        str(turn.sweeps),
        f"{turn.fit_s:.1f}",
        f"{turn.lists_s:.1f}",
        "" if ratio is None else f"{ratio:.1f}",
        f"{turn.ndcg.value:.4f} [{turn.ndcg.lower:.4f}, {turn.ndcg.upper:.4f}]",
    )


def numbers_of(text: str, kind: type[NumberT]) -> list[NumberT]:
    """The numbers of a comma-separated list.

    Raises:
        UserError: One is not a number above 0 of this kind.
    """
    try:
        numbers = [kind(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UserError(f"{text!r} is not a comma-separated list of {kind.__name__}s") from None
    if any(number <= 0 for number in numbers):
        raise UserError(f"{text!r} has a number that is not above 0")
    return numbers


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
