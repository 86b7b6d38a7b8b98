"""`AlternatingLeastSquares` beside that of `implicit`, on matrices of the shapes of published ones.

    python -m benchmarks.als --shape ml20m --rank 64 --threads 1

Users' counts and tracks' popularity are drawn, so these are no data of anybody: the shape and the
number of interactions are those of the published ones. Both classes get the same arguments and fit
in turns; the CPU seconds between callbacks make the million interactions a second and core.
"""

import time
from functools import partial
from typing import Annotated, NamedTuple

import numpy as np
import typer
from implicit.cpu.als import AlternatingLeastSquares as Library
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.harness import console, show, show_machine, take_turns
from listening_loop import AlternatingLeastSquares

ITERATIONS = 5


class Shape(NamedTuple):
    """A published matrix, and what was published of it."""

    users: int
    items: int
    interactions: int
    # million interactions a second of `implicit` on a core of an i7-7820X, by rank
    published: dict[int, float]


SHAPES = {
    "40k": Shape(40_000, 12_000, 1_600_000, {}),  # not published
    # published of the 10 million ratings of 4 and more
    "ml20m": Shape(138_493, 26_744, 10_000_000, {64: 1.49, 128: 1.03, 256: 0.53}),
}


def make_matrix(shape: Shape) -> csr_matrix:
    """Draw play counts; a track's popularity falls by its rank to the power of 0.8."""
    generator = np.random.default_rng(42)
    activity = generator.lognormal(0, 1, shape.users)
    popularity = (np.arange(shape.items) + 20.0) ** -0.8
    order = generator.permutation(shape.items)
    by_rank = np.cumsum(popularity / popularity.sum())
    pairs = np.empty(0, np.int64)
    while len(pairs) < shape.interactions:  # a pair drawn twice is one
        missing = int(1.1 * (shape.interactions - len(pairs))) + 1000
        counts = generator.multinomial(missing, activity / activity.sum())
        ranks = np.searchsorted(by_rank, generator.random(missing))
        users = np.repeat(np.arange(shape.users), counts)
        drawn = users * shape.items + order[np.minimum(ranks, shape.items - 1)]
        pairs = np.union1d(pairs, drawn)
    pairs = np.sort(generator.permutation(pairs)[: shape.interactions])
    plays = generator.geometric(0.2, len(pairs)).astype(np.float32)
    places = (pairs // shape.items, pairs % shape.items)
    return csr_matrix((plays, places), (shape.users, shape.items))


def main(
    shape: Annotated[str, typer.Option(help=", ".join(SHAPES))] = "ml20m",
    rank: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    repeats: int = 3,
) -> None:
    """Fit both in turns at each rank, and print the table."""
    threadpool_limits(1, user_api="blas")  # as implicit asks for
    published = SHAPES[shape].published
    matrix = make_matrix(SHAPES[shape])
    console.print(f"{shape}: {matrix.shape}, {matrix.nnz:,} interactions")
    warm = AlternatingLeastSquares(8, iterations=1, random_state=1)
    warm.fit(matrix[:200], show_progress=False)  # loads the compiled code
    classes: dict[str, type[Library]] = {
        "ours": AlternatingLeastSquares,
        "implicit": Library,
    }
    rows = []
    for factors in rank or [64, 128, 256]:
        runs = {
            kind: partial(measure, model, factors, threads, matrix)
            for kind, model in classes.items()
        }
        turns = take_turns(runs, repeats)
        medians = {kind: np.median(turns[kind], axis=0) for kind in classes}
        for kind, (fit_s, iteration_s) in medians.items():
            rate = matrix.nnz / 1e6 / iteration_s
            ratio = medians["ours"][0] / fit_s
            numbers = (fit_s, ratio, rate, published.get(factors, 0.0))
            rows.append((factors, kind, *(f"{number:.2f}" for number in numbers)))
    fit = f"fit of {ITERATIONS}, CPU s"
    header = ("rank", "", fit, "ours / it", "M/s and core", "implicit published")
    show(f"{shape}, {threads} threads", header, rows)
    show_machine("implicit", "numba", "numpy", "scipy")


def measure(
    model_class: type[Library], rank: int, threads: int, matrix: csr_matrix
) -> tuple[float, float]:
    """Measure the CPU seconds of a fit, and of an iteration of it."""
    clocks = [time.process_time()]
    model = model_class(
        factors=rank, iterations=ITERATIONS, num_threads=threads, random_state=42
    )
    model.fit(
        matrix,
        show_progress=False,
        callback=lambda *_: clocks.append(time.process_time()),
    )
    iteration_s = float(np.median(np.diff(clocks[1:])))
    return time.process_time() - clocks[0], iteration_s


if __name__ == "__main__":
    typer.run(main)
