"""Implicit ALS: listeners and tracks are vectors, whose inner products are scores."""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from looplib.arrays import Int32Array, IntArray
from looplib.categories import UNKNOWN
from recsys.dataset.dataset import Summary
from recsys.dataset.interactions import Interactions
from recsys.models.base import IterativeModel, State
from recsys.models.factors import Factors, Pool
from recsys.models.solver import check_finite, first_factors, load_kernels, solve


class Als(IterativeModel):
    """Factors by alternating least squares (`looplib.als`, `recsys.models.solver`).

    Listeners who have heard nothing get the popular tracks; tracks that nobody has played, the mean
    factors of their artists' tracks.

    >>> train = Interactions(csr_matrix(np.float32([[3, 1, 0, 0], [2, 0, 5, 0], [0, 1, 0, 0]])))
    >>> model = Als(factors=2).fit(train, seed=1, threads=1, iterations=5)
    >>> model.recommend(2, "repeat")
    array([[ 1,  0],
           [ 0,  2],
           [ 1, -1]], dtype=int32)
    """

    name = "als"
    main_params: ClassVar = ("factors", "regularization", "alpha")
    has_factors = True
    in_blocks = True
    config: AlsConfig

    @classmethod
    def load_kernels(cls) -> None:
        """Load the compiled solver."""
        load_kernels()

    @classmethod
    def estimate_bytes(cls, config: Any, summary: Summary) -> int:  # noqa: ANN401  of its class
        """Estimate the memory: factors, and as much again while they are read or written."""
        factors: int = 8 * config.factors * (summary.listeners + summary.tracks)
        return super().estimate_bytes(config, summary) + factors

    @property
    def factors(self) -> Factors:
        """The vectors; tracks that nobody has played have the mean of their artists' tracks."""
        user_factors = self.state["user_factors"]
        item_factors = self.state["item_factors"]
        train = self.train
        if not len(train.unplayed):
            return Factors(user_factors, item_factors)
        item_factors = item_factors.copy()
        unplayed = train.unplayed
        for group in train.features.groups[::-1]:  # artists last: they take precedence
            played = np.flatnonzero((group != UNKNOWN) & (train.popularity > 0))
            shape = (int(group.max(initial=0)) + 1, len(group))
            ones = np.ones(len(played), np.float32)
            is_of = csr_matrix((ones, (group[played], played)), shape)
            tracks = is_of.getnnz(axis=1)
            means = is_of @ self.state["item_factors"]
            means /= np.maximum(tracks, 1)[:, np.newaxis]
            named = unplayed[group[unplayed] != UNKNOWN]
            named = named[tracks[group[named]] > 0]
            item_factors[named] = means[group[named]]
        return Factors(user_factors, item_factors)

    def first_state(self, train: Interactions, seed: int) -> State:
        """Draw small positive factors."""
        shape = train.matrix.shape
        users, items = first_factors(shape, self.config.factors, seed)
        return {"iterations": 0, "user_factors": users, "item_factors": items}

    def partial_fit(self, iterations: int) -> Self:
        """Solve the listeners, then the tracks, in each iteration.

        Raises:
            TrialError: A factor is not finite.
        """
        config = self.config
        train = self.train
        threads = self.threads
        users = self.state["user_factors"]
        items = self.state["item_factors"]
        listeners = int(np.count_nonzero(train.counts))
        tracks = int(np.count_nonzero(train.popularity))
        for _ in range(iterations):
            done = self.iterations + 1
            solve(users, [items], train.matrix, config, threads, count=tracks)
            solve(items, [users], train.by_track, config, threads, count=listeners)
            check_finite(done, users, items)
            self.state = {**self.state, "iterations": done}
        return self

    def narrow(self, listeners: IntArray) -> Self:
        """Copy the model for some listeners."""
        part = super().narrow(listeners)
        factors = self.state["user_factors"][listeners]
        part.state = {**self.state, "user_factors": factors}
        return part

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the tracks with the largest products of factors."""
        return self.factors.recommend(self.train, k, self.threads, pool, listeners)

    def similar(self, tracks: IntArray, k: int) -> Int32Array:
        """Rank the other tracks by the cosine of their factors with the factors of some tracks.

        Returns:
            Columns, best first, shape (tracks given, ≤ k).
        """
        return self.factors.similar(tracks, k, self.threads)[0]
