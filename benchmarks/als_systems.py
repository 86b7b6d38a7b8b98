"""Fits of several systems to the same interactions, after each iteration.

Each gets the same `Data` and hyperparameters; `benchmarks.als` measures them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Factors
from recsys.models.solver import first_factors, solve
from recsys.search.scorer import Scorer, validator_for

TOP = 30  # tracks of a list


@dataclass(frozen=True)
class Data:
    """What every system gets: interactions (listeners, tracks), and a scorer of factors."""

    scorer: Scorer  # has the seed and the threads, too
    interactions: csr_matrix

    def values(self, base: float, slope: float) -> csr_matrix:
        """Return the interactions with the values base + slope x listening time."""
        values = np.float32(base) + np.float32(slope) * self.interactions.data
        return csr_matrix(
            (values, self.interactions.indices, self.interactions.indptr),
            self.interactions.shape,
        )

    def ndcg(self, factors: Factors) -> float:
        """Return NDCG@30 of each listener's best tracks."""
        train = Interactions(self.interactions)
        lists = factors.recommend(train, TOP, self.scorer.threads)
        listeners, metric = np.arange(len(lists)), f"ndcg@{TOP}"
        validator = validator_for(self.scorer)
        return (
            validator.score(listeners, lists.astype(np.int64), metric)
            .metrics[metric]
            .value
        )


# the fit after each of so many iterations
System = Callable[[Data, AlsConfig, int], Iterator[Factors]]


def ours(data: Data, params: AlsConfig, iterations: int) -> Iterator[Factors]:
    """Fit with this project's model."""
    heard, threads = data.interactions, data.scorer.threads
    users, items = first_factors(heard.shape, params.factors, data.scorer.seed)
    by_track = csr_matrix(heard.T)
    for _ in range(iterations):
        solve(users, [items], heard, params, threads)
        solve(items, [users], by_track, params, threads)
        yield Factors(users, items)


def bare_implicit(
    params: AlsConfig, iterations: int, seed: int, threads: int
) -> AlternatingLeastSquares:
    """Return the model of `implicit` with these parameters.

    Its input is 1 + alpha x listening time.
    """
    return AlternatingLeastSquares(
        factors=params.factors,
        regularization=params.regularization,
        alpha=1.0,
        iterations=iterations,
        num_threads=threads,
        random_state=seed,
    )


def implicit(data: Data, params: AlsConfig, iterations: int) -> Iterator[Factors]:
    """Fit with `implicit`: the loop of its `fit`, which itself shows nothing between iterations."""
    threads = data.scorer.threads
    by_listener = data.values(1, params.alpha)
    by_track = by_listener.T.tocsr()
    model = bare_implicit(params, 0, data.scorer.seed, threads)
    model.fit(by_listener, show_progress=False)  # draws the first factors
    users, items = model.user_factors, model.item_factors
    solve = partial(model.solver, regularization=params.regularization)
    for _ in range(iterations):
        solve(by_listener, users, items, num_threads=threads)
        solve(by_track, items, users, num_threads=threads)
        yield Factors(users, items)


def irspack(data: Data, params: AlsConfig, iterations: int) -> Iterator[Factors]:
    """Fit with irspack."""
    from irspack import IALSRecommender

    model = IALSRecommender(
        data.values(0, params.alpha),
        params.factors,
        alpha0=1.0,
        reg=params.regularization,
        nu=0.0,
        loss_type="ORIGINAL",
        random_seed=data.scorer.seed,
        n_threads=data.scorer.threads,
    )
    model.start_learning()
    for _ in range(iterations):
        model.run_epoch()
        yield Factors(model.get_user_embedding(), model.get_item_embedding())


SYSTEMS: dict[str, System] = {
    "ours": ours,
    "implicit": implicit,
    "irspack": irspack,
}
