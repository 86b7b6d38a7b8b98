"""Models of `implicit` and irspack (the extra `peers`), fitted to the same interactions.

Each has a few candidates; the best on the validation part is fitted to all of the training part.
"""

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from implicit.nearest_neighbours import BM25Recommender
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.als_systems import bare_implicit
from benchmarks.harness import console
from benchmarks.real.product import THREADS
from benchmarks.real.tables import SEED
from looplib.als import AlsConfig
from looplib.arrays import Int32Array
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, load_interactions
from recsys.models.factors import Factors, Pool
from recsys.models.similarity import SimilarityModel

ITERATIONS = 15
DRAWS = 8  # of irspack, as many models as of `implicit`


class Lister(Protocol):
    """Recommends, as the models of `recsys.models` do."""

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the k best tracks of each listener, of all or of some."""


Peer = Callable[[Dataset], Lister]


@dataclass(frozen=True)
class Work:
    """What the measurement of a set gets beside its files."""

    folder: Path  # for stores and runs
    tried: Mapping[str, list[Peer]]  # the candidates of each peer


@dataclass(frozen=True)
class PeerFactors:
    """A peer's factors; their largest products make the lists."""

    factors: Factors
    train: Interactions

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the tracks with the largest products."""
        return self.factors.recommend(self.train, k, THREADS, pool)


class ImplicitKnn(SimilarityModel):
    """Lists by the neighbours that `implicit`'s BM25 finds."""

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Find neighbours with `implicit`."""
        model = BM25Recommender(K=200, K1=1.2, B=0.75, num_threads=threads)
        model.fit(train.matrix, show_progress=False)
        self.similarity = csr_matrix(model.similarity)
        return super().fit(train, seed=seed, threads=threads)


def item_knn(dataset: Dataset) -> Lister:
    """Find neighbours with `implicit`."""
    train = load_interactions(dataset, "training")
    return ImplicitKnn().fit(train, seed=SEED, threads=THREADS)


def implicit_als(params: AlsConfig, dataset: Dataset) -> Lister:
    """Fit `implicit`'s ALS, whose confidence is 1 + alpha x weight as ours."""
    matrix = dataset.matrix("training")
    matrix.data = 1 + np.float32(params.alpha) * matrix.data
    with threadpool_limits(1, user_api="blas"):  # as implicit asks for
        model = bare_implicit(params, ITERATIONS, SEED, THREADS)
        model.fit(matrix, show_progress=False)
    factors = Factors(model.user_factors, model.item_factors)
    return PeerFactors(factors, load_interactions(dataset, "training"))


def irspack_als(factors: int, alpha0: float, reg: float, dataset: Dataset) -> Lister:
    """Fit irspack's iALS."""
    from irspack import IALSRecommender

    with redirect_stdout(StringIO()):  # its progress
        model = IALSRecommender(
            dataset.matrix("training"),
            factors,
            alpha0,
            reg,
            train_epochs=ITERATIONS,
            n_threads=THREADS,
        ).learn()
    factors_found = Factors(model.get_user_embedding(), model.get_item_embedding())
    return PeerFactors(factors_found, load_interactions(dataset, "training"))


def candidates() -> Mapping[str, list[Peer]]:
    """Return the models of each peer that are tried, without those that are not installed."""
    grid = product((64, 128), (0.1, 10.0), (1.0, 10.0))
    found: dict[str, list[Peer]] = {
        "item-kNN, BM25 (implicit)": [item_knn],
        "ALS (implicit)": [
            partial(
                implicit_als,
                AlsConfig(factors=factors, regularization=regularization, alpha=alpha),
            )
            for factors, regularization, alpha in grid
        ],
    }
    try:
        import irspack  # noqa: F401  only looked for
    except ImportError:
        console.print("irspack is left out; pip install -e '.[peers]' has it")
        return found
    generator = np.random.default_rng(SEED)
    # the ranges of irspack's own tuning
    logs = generator.uniform(np.log((3e-3, 1e-4)), np.log((1, 0.1)), size=(DRAWS, 2))
    drawn = [
        (int(generator.integers(64, 129)), *pair) for pair in np.exp(logs).tolist()
    ]
    found["iALS (irspack)"] = [partial(irspack_als, *axes) for axes in drawn]
    return found


def choose(
    tried: Mapping[str, list[Peer]],
    dataset: Dataset,
    score: Callable[[Lister], Mapping[str, float]],
) -> dict[str, dict[str, Peer]]:
    """Find the best candidate of each peer on a validation part.

    Args:
        tried: The candidates.
        dataset: Its training side is learned from.
        score: What lists are worth, by figures of which each has a best candidate.

    Returns:
        By the peer, then by the figure.
    """
    found: dict[str, dict[str, Peer]] = {}
    for name, models in tried.items():
        scores = [score(fit(dataset)) for fit in models]
        found[name] = {
            figure: models[int(np.argmax([worth[figure] for worth in scores]))]
            for figure in scores[0]
        }
    return found
