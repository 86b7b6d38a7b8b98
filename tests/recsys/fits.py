"""Fits of matrices alone, without a dataset or a search."""

from scipy.sparse import csr_matrix

from looplib.als import AlsParams
from recsys.models.als import Fit, first_factors, make_equations, sweep


def fit_als(
    interactions: csr_matrix,
    params: AlsParams,
    seed: int,
    sweeps: int,
    threads: int = 1,
    start: Fit | None = None,
) -> Fit:
    """Fit interactions, shape (listeners, tracks), or take a fit so many sweeps further."""
    fit = start or first_factors(interactions.shape, params.factors, seed)
    listeners = make_equations(interactions, params)
    tracks = make_equations(csr_matrix(interactions.T), params)
    for _ in range(sweeps):
        sweep(fit, listeners, tracks, threads)
    return fit
