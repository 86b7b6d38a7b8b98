"""Seconds until a fit is good: ours, `implicit`, irspack and PySpark ML, on the same interactions and the same split.

    python -m benchmarks.peers --config configs/seed.yaml --store out/seed/store --points 32,64

Good is a share (`--share`) of the best NDCG@30 that bare `implicit` reaches at that rank in any of its first `--sweeps`
sweeps. A system is followed, sweep by sweep and outside the clock, until its lists are that good; then it is run anew
for just so many sweeps, without a break, and that is timed: from the training interactions in memory to the factors.
The systems take turns, and the median of their turns counts. Spark cannot be followed, so it is run whole for one
number of sweeps after another; the run that is the first to be good is its time. Everybody's factors are ranked
by the same code and scored by `analysis.validation.validator`. What is equal, and what is not:

- `implicit`, irspack and ours minimise one objective: confidence 1 + alpha r, 1 for what was not heard, one
  regularization for all rows; and take three steps of conjugate gradient a row. For irspack that is loss ORIGINAL,
  alpha0 1, nu 0, and values alpha r. `implicit` and ours begin with the same factors, irspack draws others.
- Spark multiplies the regularization by each row's number of interactions and solves rows exactly: another objective,
  which no value of its regularization makes equal. Ours does both too, and stands in the table once more with Spark's
  objective, its regularization and its solver; Spark's search begins at the sweeps that it takes.

It needs Java 17 or newer and the extra `peers`; `--no-spark` leaves Spark out. The CPU of Spark has the compiler of its
JVM in it.
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from analysis.validation.validator import Metric
from benchmarks.measure import machine
from benchmarks.peer_systems import OF_SPARK, OURS, Factored, Given, Peer, bare_implicit, irspack, ours, spark_ml
from benchmarks.spark import give_to_spark, java_of, numbers_of, open_spark, prepare_dataset
from looplib.cli import make_app, run
from looplib.config import load_config
from looplib.progress import console
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import AlsParams
from recsys.models.lists import personal_lists
from recsys.scoring.scorer import Scorer, validator_for

PROG = "python -m benchmarks.peers"
TOP = 30
WARM_UP = AlsParams(factors=16, regularization=0.1, alpha=1.0)
WARM_UP_SWEEPS = 2
app = make_app("Seconds until a fit is good: ours, implicit, irspack and PySpark ML.")


@dataclass(frozen=True)
class Timed:
    """Seconds of one fit; those of the CPU are of all cores, and of this process and those below it."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Reached:
    """When a system was good.

    Attributes:
        peer: Which system.
        sweeps: The first number of sweeps whose lists were good; None if none was.
        ndcg: Of those lists; the best there were if none was good.
        turns: Fits of so many sweeps.
    """

    peer: Peer
    sweeps: int | None
    ndcg: Metric
    turns: tuple[Timed, ...] = ()


@dataclass(frozen=True)
class Bench:
    """What scores the systems, and what is good.

    Attributes:
        dataset: Whose training interactions are fitted.
        scorer: How lists are scored.
        cap: Sweeps that a system may take.
        share: Of the best of `implicit` that is good.
    """

    dataset: Dataset
    scorer: Scorer
    cap: int
    share: float

    def score(self, factors: Factored) -> Metric:
        """NDCG of the lists that follow from factors."""
        lists = personal_lists(factors, self.dataset, "train", TOP, self.scorer.threads)
        validation = validator_for(self.scorer).score(np.arange(len(lists)), lists.astype(np.int64))
        return validation.metric(f"ndcg@{TOP}")

    def compare(self, reference: Peer, others: Sequence[Peer], repeats: int, whole: Peer | None) -> list[Reached]:
        """When each system was good: the reference, those that can be followed, and one that is run whole each time."""
        scores = self._follow(reference, None)
        target = self.share * max(score.value for score in scores)
        reached = [_first_good(reference, scores, target)]
        reached += [_first_good(peer, self._follow(peer, target), target) for peer in others]
        for _ in range(repeats):
            reached = [_run_once(each) if _runs_again(each) else each for each in reached]
        if whole is not None:
            reached.append(self._search(whole, target, reached[-1].sweeps or self.cap))
        return reached

    def _follow(self, peer: Peer, target: float | None) -> list[Metric]:
        """The scores after each sweep, until one reaches the target."""
        scores: list[Metric] = []
        for factors in peer.follow(self.cap) if peer.follow else ():
            scores.append(self.score(factors))
            console.print(f"{_title(peer)}: sweep {len(scores)}, NDCG@{TOP} {scores[-1].value:.4f}", soft_wrap=True)
            if target is not None and scores[-1].value >= target:
                break
        return scores

    def _search(self, peer: Peer, target: float, guess: int) -> Reached:
        """When a system was good that is run whole each time: down from the guess while it is, else up."""
        tried: dict[int, tuple[Metric, Timed]] = {}
        sweeps = guess
        while 1 <= sweeps <= self.cap and sweeps not in tried:
            timed, factors = _time(peer, sweeps)
            tried[sweeps] = (self.score(factors), timed)
            value = tried[sweeps][0].value
            console.print(
                f"{_title(peer)}: {sweeps} sweeps, {timed.wall_s:.1f} s, NDCG@{TOP} {value:.4f}", soft_wrap=True
            )
            sweeps += -1 if value >= target else 1
        good = [sweeps for sweeps, (score, _) in tried.items() if score.value >= target]
        if not good:
            return Reached(peer, None, max((score for score, _ in tried.values()), key=lambda score: score.value))
        score, timed = tried[min(good)]
        return Reached(peer, min(good), score, (timed,))


def _first_good(peer: Peer, scores: Sequence[Metric], target: float) -> Reached:
    for sweeps, score in enumerate(scores, start=1):
        if score.value >= target:
            return Reached(peer, sweeps, score)
    return Reached(peer, None, max(scores, key=lambda score: score.value))


def _runs_again(reached: Reached) -> bool:
    """Whether a system that was good has a turn more; with Spark's objective one is all, as for Spark."""
    return reached.sweeps is not None and not (reached.peer.objective == OF_SPARK and reached.turns)


def _run_once(reached: Reached) -> Reached:
    """The same with a turn more."""
    sweeps = reached.sweeps or 0
    timed, _ = _time(reached.peer, sweeps)
    console.print(f"{_title(reached.peer)}: {sweeps} sweeps in {timed.wall_s:.1f} s", soft_wrap=True)
    return replace(reached, turns=(*reached.turns, timed))


def _time(peer: Peer, sweeps: int) -> tuple[Timed, Factored]:
    cpu_s, began = _cpu_s(), time.perf_counter()
    hand_over = peer.fit(sweeps)
    timed = Timed(time.perf_counter() - began, _cpu_s() - cpu_s)
    return timed, hand_over()


def _title(peer: Peer) -> str:
    return f"{peer.name}, rank {peer.params.factors}"


def _cpu_s() -> float:
    """CPU seconds so far of this process and of those below it."""
    itself = psutil.Process()
    times = [process.cpu_times() for process in (itself, *itself.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@app.command(epilog=f"Example: {PROG} --config configs/seed.yaml --points 32,64")
def main(
    config: Annotated[Path, typer.Option(help="The search's YAML; its store, split and validation count.")],
    store: Annotated[Path | None, typer.Option(help="Session store; wins over the file's.")] = None,
    points: Annotated[str, typer.Option(help="Ranks to compare at, such as 32,64.")] = "32,64",
    alpha: Annotated[float, typer.Option(help="Confidence that a unit of listening time adds.")] = 10.0,
    regularization: Annotated[float, typer.Option(help="Of the common objective.")] = 0.1,
    spark_regularization: Annotated[float, typer.Option(help="Spark's regParam.")] = 0.001,
    sweeps: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the best of implicit that is good.")] = 0.99,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of the systems with the common objective.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    memory: Annotated[str, typer.Option(help="Heap of Spark's JVM.")] = "6g",
    spark: Annotated[bool, typer.Option(help="Whether Spark takes part.")] = True,
) -> None:
    """Compares, and prints the table."""
    settings = load_config(SearchConfig, config, [] if store is None else [f"store={store}"])
    results: list[list[Reached]] = []
    libraries, foot = ["implicit", "irspack", "numpy", "scipy"], ""
    with ExitStack() as stack, threadpool_limits(1, user_api="blas"):  # of BLAS, as implicit asks for
        dataset = prepare_dataset(settings)
        scorer = Scorer(dataset.address, settings.validation.model_copy(update={"ks": (TOP,)}), settings.seed, threads)
        bench, given = Bench(dataset, scorer, sweeps, share), Given(_in_memory(dataset), settings.seed, threads)
        systems: list[Callable[[AlsParams], Peer]] = [partial(make, given) for make in (bare_implicit, ours, irspack)]
        in_spark: Callable[[AlsParams], Peer] | None = None
        if spark:
            session, folder = stack.enter_context(open_spark(threads, memory))
            in_spark = partial(spark_ml, given, give_to_spark(session, dataset, folder), folder)
            libraries, foot = ["pyspark", *libraries], f"; {java_of(session)}, heap {memory}"
        for make in (*systems, *([in_spark] if in_spark else [])):
            make(WARM_UP).fit(WARM_UP_SWEEPS)
        for rank in numbers_of(points, int):
            params = AlsParams(rank, regularization, alpha)
            as_spark = replace(params, regularization=spark_regularization, spark=True, solver="cholesky")
            reference, *others = [make(params) for make in systems]
            others.append(ours(given, as_spark, "ours, as Spark"))
            results.append(bench.compare(reference, others, repeats, in_spark and in_spark(as_spark)))
    output = Console(width=130)
    output.print(_table(results, bench, alpha, repeats))
    output.print(f"{machine(*libraries)}{foot}", soft_wrap=True, highlight=False)


def _in_memory(dataset: Dataset) -> csr_matrix:
    mapped = dataset.matrix("train")
    arrays = (np.array(mapped.data), np.array(mapped.indices), np.array(mapped.indptr))
    return csr_matrix(arrays, shape=mapped.shape)


def _table(results: Sequence[Sequence[Reached]], bench: Bench, alpha: float, repeats: int) -> Table:
    facts = bench.dataset.summary
    table = Table(
        *("rank", "system", "version", "objective", "regularization", "sweeps", "s", "CPU s", "x ours"),
        f"NDCG@{TOP} [95 % interval]",
        title=f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, {facts.interactions:,} interactions; "
        f"alpha {alpha:g}, {bench.scorer.threads} threads",
        caption=f"Until NDCG@{TOP} is first {bench.share:.0%} of the best of bare implicit within {bench.cap} sweeps. "
        f"Seconds: medians of {repeats} turns, with Spark's objective of one. x ours: "
        "seconds against ours with the same objective.",
    )
    for reached in results:
        for each in reached:
            table.add_row(*_cells(each, _ours_with(each.peer.objective, reached)))
        table.add_section()
    return table


def _ours_with(objective: str, reached: Sequence[Reached]) -> Reached:
    return next(each for each in reached if each.peer.library == OURS and each.peer.objective == objective)


def _cells(reached: Reached, of_ours: Reached) -> tuple[str, ...]:
    peer, ndcg = reached.peer, reached.ndcg
    seconds = ("", "", "")
    if reached.turns:
        wall_s = statistics.median(turn.wall_s for turn in reached.turns)
        cpu_s = statistics.median(turn.cpu_s for turn in reached.turns)
        ratio = wall_s / statistics.median(turn.wall_s for turn in of_ours.turns) if of_ours.turns else None
        seconds = (f"{wall_s:.1f}", f"{cpu_s:.1f}", "" if ratio is None else f"{ratio:.1f}")
    return (
        str(peer.params.factors),
        peer.name,
        importlib.metadata.version(peer.library),
        peer.objective,
        f"{peer.params.regularization:g}" + (" x count" if peer.params.spark else ""),
        "never" if reached.sweeps is None else str(reached.sweeps),
        *seconds,
        f"{ndcg.value:.4f} [{ndcg.lower:.4f}, {ndcg.upper:.4f}]",
    )


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
