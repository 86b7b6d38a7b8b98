"""Fits of matrices alone, without a dataset or a search."""

from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from recsys.dataset.interactions import Interactions
from recsys.models.als import Als


def fit_als(
    interactions: csr_matrix,
    config: AlsConfig,
    seed: int,
    iterations: int,
    threads: int = 1,
) -> Als:
    """Fit interactions, shape (listeners, tracks)."""
    train = Interactions(interactions)
    return Als(config).fit(train, seed=seed, threads=threads, iterations=iterations)
