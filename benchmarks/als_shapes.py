"""`AlternatingLeastSquares` beside that of `implicit`, on matrices of the shapes of published ones.

    python -m benchmarks.als --shape 360k --rank 64

Users' counts and tracks' popularity are drawn, so these are no data of anybody: the shape and the
number of interactions are those of the published ones. Both classes get the same arguments and fit
in turns; the CPU seconds between callbacks make the million interactions a second and core.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares as Library
from scipy.sparse import csr_matrix

from benchmarks.harness import console, show, show_machine, take_turns
from listening_loop import AlternatingLeastSquares

SWEEPS = 5
RECOMMENDED = 10  # tracks of a list


class Shape(NamedTuple):
    """A published matrix, and what was published of it."""

    users: int
    items: int
    interactions: int
    spread: float  # of the logarithm of users' counts
    # million interactions a second by rank: implicit on a core of an i7-7820X, and on an A6000
    core: dict[int, float]
    gpu: dict[int, float]


SHAPES = {
    "360k": Shape(
        358_868,
        292_385,
        17_600_000,
        0.1,
        {64: 0.95, 128: 0.77, 256: 0.41},
        {64: 39.0, 128: 45.0, 256: 28.0},
    ),
    # published of the 10 million ratings of 4 and more
    "ml20m": Shape(
        138_493,
        26_744,
        10_000_000,
        1.0,
        {64: 1.49, 128: 1.03, 256: 0.53},
        {64: 30.0, 128: 44.0, 256: 33.0},
    ),
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


class Fitted(NamedTuple):
    """A fit: seconds of the whole, of its last sweep, and of lists for some users."""

    cpu_s: float
    sweep_cpu_s: float
    sweep_s: float
    lists_cpu_s: float


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
    kinds: dict[str, type[Library]] = {
        "ours": AlternatingLeastSquares,
        "implicit": Library,
    }
    rows = []
    for rank in ranks:
        runs: dict[str, Callable[[], Fitted]] = {
            kind: partial(_fit, make, rank, threads, matrix, users)
            for kind, make in kinds.items()
        }
        found = {
            kind: Fitted(*np.median(np.array(turns), axis=0).tolist())
            for kind, turns in take_turns(runs, repeats).items()
        }
        for kind in kinds:
            rows.append((str(rank), kind, *_cells(shape, rank, found[kind], found)))
    header = (
        *("rank", "", f"fit of {SWEEPS}, CPU s", "ours / it", "sweep, wall s"),
        *("ours / it", "M/s and core", "implicit published", "cores for a GPU"),
        *(f"lists of {len(users):,}, CPU s", "ours / it"),
    )
    show(f"{name}, {threads} threads", header, rows)
    show_machine("implicit", "numba", "numpy", "scipy")


def _cells(
    shape: Shape, rank: int, fitted: Fitted, found: Mapping[str, Fitted]
) -> tuple[str, ...]:
    """Return the figures of a row, each beside its ratio."""
    ours = found["ours"]
    rate = shape.interactions / 1e6 / fitted.sweep_cpu_s  # and core
    lists = f"{ours.lists_cpu_s / fitted.lists_cpu_s:.2f}" if ours.lists_cpu_s else ""
    return (
        f"{fitted.cpu_s:.1f}",
        f"{ours.cpu_s / fitted.cpu_s:.2f}",
        f"{fitted.sweep_s:.2f}",
        f"{ours.sweep_cpu_s / fitted.sweep_cpu_s:.2f}",
        f"{rate:.2f}",
        f"{shape.core.get(rank, 0):.2f}",
        f"{shape.gpu.get(rank, 0) / rate:.0f}",
        f"{fitted.lists_cpu_s:.1f}",
        lists,
    )


def _fit(
    make: type[Library], rank: int, threads: int, matrix: csr_matrix, users: np.ndarray
) -> Fitted:
    clocks: list[tuple[float, float]] = []
    model = make(factors=rank, iterations=SWEEPS, num_threads=threads, random_state=42)
    began = time.process_time()
    model.fit(
        matrix,
        show_progress=False,
        callback=lambda _, wall_s, __: clocks.append((time.process_time(), wall_s)),
    )
    cpu_s = time.process_time() - began
    sweeps = np.diff([cpu for cpu, _ in clocks])
    began = time.process_time()
    if len(users):
        model.recommend(users, matrix[users], N=RECOMMENDED)
    lists_cpu_s = time.process_time() - began
    sweep_s = min(wall for _, wall in clocks)
    return Fitted(cpu_s, float(np.median(sweeps)), sweep_s, lists_cpu_s)
