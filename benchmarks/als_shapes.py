"""`AlternatingLeastSquares` beside that of `implicit`, on matrices of the shapes of published ones.

    python -m benchmarks.als --shape 360k --rank 64

Users' counts and tracks' popularity are drawn, so these are no data of anybody: the shape and the
number of interactions are those of the published ones. Both classes get the same arguments and fit
in turns; the CPU seconds between callbacks make the million interactions a second and core.
"""

import time
from functools import partial
from typing import NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares as Library
from scipy.sparse import csr_matrix

from benchmarks.harness import console, show, show_machine, take_turns
from listening_loop import AlternatingLeastSquares
from looplib.arrays import IntArray

ITERATIONS = 5
RECOMMENDED = 10  # tracks of a list


class Shape(NamedTuple):
    """A published matrix, and what was published of it."""

    users: int
    items: int
    interactions: int
    spread: float  # of the logarithm of users' counts
    # million interactions a second of `implicit` on a core of an i7-7820X, by rank
    published: dict[int, float]


SHAPES = {
    "40k": Shape(40_000, 12_000, 1_600_000, 1.0, {}),  # not published
    "360k": Shape(358_868, 292_385, 17_600_000, 0.1, {64: 0.95, 128: 0.77, 256: 0.41}),
    # published of the 10 million ratings of 4 and more
    "ml20m": Shape(138_493, 26_744, 10_000_000, 1.0, {64: 1.49, 128: 1.03, 256: 0.53}),
}


def make_matrix(shape: Shape) -> csr_matrix:
    """Draw play counts; a track's popularity falls by its rank to the power of 0.8."""
    generator = np.random.default_rng(42)
    activity = generator.lognormal(0, shape.spread, shape.users)
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


def compare_shape(
    name: str, ranks: list[int], threads: int, repeats: int, share: float
) -> None:
    """Fit both in turns at each rank, recommend to a share of the users, print the table."""
    shape = SHAPES[name]
    matrix = make_matrix(shape)
    console.print(f"{name}: {matrix.shape}, {matrix.nnz:,} interactions")
    users = np.arange(int(shape.users * share))
    warm = AlternatingLeastSquares(8, iterations=1, random_state=1)
    warm.fit(matrix[:200], show_progress=False)  # loads the compiled code
    warm.recommend(np.arange(200), matrix[:200])
    classes: dict[str, type[Library]] = {
        "ours": AlternatingLeastSquares,
        "implicit": Library,
    }
    rows = []
    for rank in ranks:
        runs = {
            kind: partial(measure, model, rank, threads, matrix, users)
            for kind, model in classes.items()
        }
        turns = take_turns(runs, repeats)
        medians = {kind: np.median(turns[kind], axis=0) for kind in classes}
        for kind, (fit_s, iteration_s, lists_s) in medians.items():
            fit_ratio, _, lists_ratio = medians["ours"] / (fit_s, 1.0, lists_s or 1.0)
            rate = shape.interactions / 1e6 / iteration_s
            published = shape.published.get(rank, 0.0)
            numbers = (fit_s, fit_ratio, rate, published, lists_s, lists_ratio)
            rows.append((rank, kind, *(f"{number:.2f}" for number in numbers)))
    header = (
        *("rank", "", f"fit of {ITERATIONS}, CPU s", "ours / it"),
        *("M/s and core", "implicit published"),
        *(f"lists of {len(users):,}, CPU s", "ours / it"),
    )
    show(f"{name}, {threads} threads", header, rows)
    show_machine("implicit", "numba", "numpy", "scipy")


def measure(
    model_class: type[Library],
    rank: int,
    threads: int,
    matrix: csr_matrix,
    users: IntArray,
) -> tuple[float, float, float]:
    """Measure the CPU seconds of a fit, of an iteration of it, and of lists for some users."""
    clocks = []
    model = model_class(
        factors=rank, iterations=ITERATIONS, num_threads=threads, random_state=42
    )
    began = time.process_time()
    model.fit(
        matrix,
        show_progress=False,
        callback=lambda *_: clocks.append(time.process_time()),
    )
    fitted = time.process_time()
    if len(users):
        model.recommend(users, matrix[users], N=RECOMMENDED)
    iteration_s = float(np.median(np.diff(clocks)))
    return fitted - began, iteration_s, time.process_time() - fitted
