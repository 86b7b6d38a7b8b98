"""Models of `implicit` and irspack (the extra `peers`), chosen and fitted as ours are.

Each kind has a space, with what its authors tune and what is known to be good. A part of the
training data chooses: after each of `EPOCHS`, the best third goes on. The best model and number of
epochs are fitted to the whole training part. Results are kept in a file, by split and kind, so that
a run goes on where another has ended, and ours can be measured again alone.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import (
    BM25Recommender,
    CosineRecommender,
    TFIDFRecommender,
)
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.harness import console
from benchmarks.real.tables import SEED
from looplib.arrays import Float32Array, FloatArray, Int32Array
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, load_interactions
from recsys.models.als import Als
from recsys.models.factors import Pool
from recsys.models.similarity import SimilarityModel

EPOCHS = (5, 9, 14)
BPR_EPOCHS = 8  # of stochastic gradient descent, for one of alternating least squares
THREADS = 1
FEW_TRACKS = 6000  # whose dense similarities are inverted in seconds
IMPLICIT_KNN = {
    "bm25": BM25Recommender,
    "cosine": CosineRecommender,
    "tfidf": TFIDFRecommender,
}


class Lister(Protocol):
    """Recommends, as the models of `recsys.models` do."""

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the k best tracks of each listener, of all or of some."""


Fits = Iterator[Lister]  # after each of `EPOCHS`; once where a kind has none
Space = Mapping[str, Sequence[Any]]
# what lists are worth to each listener, by figure, each of which chooses its own model
Score = Callable[[Lister, Dataset], Mapping[str, FloatArray]]


@dataclass(frozen=True)
class Work:
    """What the measurement of a set gets beside its files."""

    folder: Path  # for stores and runs
    peers: Path  # the file of their results
    fits_peers: bool = True


def implicit_als(
    train: Interactions, factors: int, alpha: float, regularization: float
) -> Fits:
    """Fit `implicit`'s ALS, whose confidence is 1 + alpha x weight as ours."""
    matrix = train.matrix.copy()
    matrix.data = 1 + np.float32(alpha) * matrix.data
    model = AlternatingLeastSquares(
        factors, regularization, num_threads=THREADS, random_state=SEED
    )
    return _fit_implicit(model, matrix, train, 1)


def implicit_bpr(train: Interactions, factors: int, learning_rate: float) -> Fits:
    """Fit `implicit`'s BPR."""
    model = BayesianPersonalizedRanking(
        factors, learning_rate, num_threads=THREADS, random_state=SEED
    )
    return _fit_implicit(model, train.matrix, train, BPR_EPOCHS)


def _fit_implicit(
    model: Any,  # noqa: ANN401  implicit has no types
    matrix: csr_matrix,
    train: Interactions,
    times: int,
) -> Fits:
    for epochs in np.diff(EPOCHS, prepend=0).tolist():
        model.iterations = times * epochs
        model.fit(matrix, show_progress=False)
        yield _by_factors(train, model.user_factors, model.item_factors)


def implicit_knn(train: Interactions, weighting: str, k: int, counts: str) -> Fits:
    """Find neighbours with `implicit`."""
    matrix = scale(train.matrix, counts)
    model = IMPLICIT_KNN[weighting](K=k, num_threads=THREADS)
    model.fit(matrix, show_progress=False)
    yield _by_similarity(matrix, model.similarity)


def irspack_als(
    train: Interactions, counts: str, factors: int, alpha0: float, reg: float
) -> Fits:
    """Fit irspack's iALS."""
    from irspack import IALSRecommender

    matrix = scale(train.matrix, counts)
    model = IALSRecommender(matrix, factors, alpha0, reg, n_threads=THREADS)
    model.start_learning()
    for epochs in np.diff(EPOCHS, prepend=0).tolist():
        for _ in range(epochs):
            model.run_epoch()
        users, items = model.get_user_embedding(), model.get_item_embedding()
        yield _by_factors(train, users, items)


def irspack_knn(train: Interactions, counts: str, top_k: int, shrinkage: float) -> Fits:
    """Find neighbours with irspack."""
    from irspack import CosineKNNRecommender

    matrix = scale(train.matrix, counts)
    model = CosineKNNRecommender(
        matrix, shrinkage, normalize=True, top_k=top_k, n_threads=THREADS
    ).learn()
    yield _by_similarity(matrix, model.W)


def irspack_ease(train: Interactions, reg: float) -> Fits:
    """Fit irspack's EASE."""
    from irspack import DenseSLIMRecommender

    if train.matrix.shape[1] <= FEW_TRACKS:
        matrix = scale(train.matrix, "binary")
        yield _by_similarity(matrix, DenseSLIMRecommender(matrix, reg).learn().W)


def scale(matrix: csr_matrix, counts: str) -> csr_matrix:
    """Take counts as they are (raw), their logarithms (log) or 1 for each (binary)."""
    scaled = matrix.astype(np.float32)
    if counts == "log":
        scaled.data = np.log1p(scaled.data)
    elif counts == "binary":
        scaled.data = np.ones_like(scaled.data)
    return scaled


def _by_factors(
    train: Interactions, users: Float32Array, items: Float32Array
) -> Lister:
    state = {"iterations": 0, "user_factors": users, "item_factors": items}
    return Als().restore(train, state, threads=THREADS)


def _by_similarity(
    matrix: csr_matrix,
    similarity: Any,  # noqa: ANN401  dense or sparse
) -> Lister:
    model = SimilarityModel()
    model.similarity = csr_matrix(similarity, dtype=np.float32)
    return model.fit(Interactions(matrix), seed=SEED, threads=THREADS)


# by row of the tables: how a kind is fitted, and its space on pairs and on counts of plays
Kinds = Mapping[str, tuple[Callable[..., Fits], Space]]
PAIRS: Kinds = {
    "ALS (implicit)": (
        implicit_als,
        {
            "factors": [64, 128],
            "alpha": [4.0, 16.0, 40.0],
            "regularization": [20.0, 60.0, 150.0],
        },
    ),
    "BPR (implicit)": (implicit_bpr, {"factors": [64, 128], "learning_rate": [0.05]}),
    "item-kNN (implicit)": (
        implicit_knn,
        {"weighting": list(IMPLICIT_KNN), "k": [50, 200], "counts": ["binary"]},
    ),
    "iALS (irspack)": (
        irspack_als,
        {
            "counts": ["binary"],
            "factors": [64, 128],
            "alpha0": [0.03, 0.1, 0.2],
            "reg": [0.003, 0.01, 0.03],
        },
    ),
    "item-kNN (irspack)": (
        irspack_knn,
        {"counts": ["binary"], "top_k": [50, 100, 300], "shrinkage": [0.0, 50.0]},
    ),
    "EASE (irspack)": (irspack_ease, {"reg": [300.0, 1000.0, 3000.0]}),
}
PLAYS: Kinds = {
    "ALS (implicit)": (
        implicit_als,
        {
            "factors": [64, 128],
            "alpha": [1.0, 10.0],
            "regularization": [0.1, 10.0],
        },
    ),
    "BPR (implicit)": PAIRS["BPR (implicit)"],
    "item-kNN (implicit)": (
        implicit_knn,
        {
            "weighting": list(IMPLICIT_KNN),
            "k": [200],
            "counts": ["raw", "log", "binary"],
        },
    ),
    "iALS (irspack)": (
        irspack_als,
        {
            "counts": ["raw", "log"],
            "factors": [128],
            "alpha0": [0.03, 0.2],
            "reg": [0.003, 0.03],
        },
    ),
    "item-kNN (irspack)": (
        irspack_knn,
        {
            "counts": ["raw", "log", "binary"],
            "top_k": [100, 400],
            "shrinkage": [0.0, 50.0],
        },
    ),
}


def expand(fit: Callable[..., Fits], space: Space) -> list[partial[Fits]]:
    """List the models of a space."""
    return [
        partial(fit, **dict(zip(space, values, strict=True)))
        for values in product(*space.values())
    ]


def measure(
    work: Work,
    split: str,
    kinds: Kinds,
    datasets: tuple[Dataset, Dataset],
    score: Score,
    *,
    is_ordered: bool = False,
) -> dict[str, dict[str, FloatArray]]:
    """Measure the best model of each kind, or read what was measured before.

    Args:
        work: Where results are kept, and whether missing ones are measured.
        split: Names the datasets in the file.
        kinds: What is tried.
        datasets: The one that chooses, and the one that is tested.
        score: By whose means models are chosen.
        is_ordered: Whether they get the plays in their order.

    Returns:
        What the lists are worth to each listener of the tested dataset, by row and figure.
    """
    results = json.loads(work.peers.read_text()) if work.peers.exists() else {}
    measured = {}
    for name, (fit, space) in kinds.items():
        models = expand(fit, space)
        row = f"{name}: {len(models)}"
        key = f"{split}, {row}"
        if key not in results and work.fits_peers:
            with threadpool_limits(1, user_api="blas"):  # as implicit asks for
                load = partial(
                    load_interactions, split="training", is_ordered=is_ordered
                )
                results[key] = _measure_kind(models, datasets, score, load)
            work.peers.write_text(json.dumps(results))
            console.print(key, {**results[key], "values": "…"})
        if values := results.get(key, {}).get("values"):
            measured[row] = {
                figure: np.array(worth) for figure, worth in values.items()
            }
    return measured


def _measure_kind(
    models: list[partial[Fits]],
    datasets: tuple[Dataset, Dataset],
    score: Score,
    load: Callable[[Dataset], Interactions],
) -> dict[str, Any]:
    """Choose and test; return the best models, their values and the CPU seconds."""
    began_s = time.process_time()
    validation, tested = datasets
    train = load(validation)
    choice = choose(models, train, lambda model: score(model, validation))
    train = load(tested)
    worth = {}
    for number, rung in set(choice.values()):
        model = next(islice(models[number](train), rung, None))
        worth[number, rung] = score(model, tested)
    best = {
        figure: {**models[number].keywords, "epochs": EPOCHS[rung]}
        for figure, (number, rung) in choice.items()
    }
    values = {
        figure: worth[place][figure].round(6).tolist()
        for figure, place in choice.items()
    }
    cpu_s = round(time.process_time() - began_s, 1)
    return {"best": best, "cpu_s": cpu_s, "values": values}


def choose(
    models: Sequence[partial[Fits]],
    train: Interactions,
    score: Callable[[Lister], Mapping[str, FloatArray]],
) -> dict[str, tuple[int, int]]:
    """Choose a model and the position of its epochs in `EPOCHS`, for each figure."""
    fits = [fit(train) for fit in models]
    means: dict[str, dict[tuple[int, int], float]] = {}
    running = set(range(len(models)))
    for rung in range(len(EPOCHS)):
        for number in running:
            model = next(fits[number], None)
            if model is not None:
                for figure, values in score(model).items():
                    mean = float(np.nanmean(values))
                    means.setdefault(figure, {})[number, rung] = mean
        best = set()
        for worth in means.values():
            last = [place for place in worth if place[1] == rung]
            last.sort(key=worth.__getitem__, reverse=True)
            best |= {number for number, _ in last[: -(-len(running) // 3)]}
        running = best
    return {
        figure: max(worth, key=worth.__getitem__) for figure, worth in means.items()
    }
