"""Similarity models, against dense products."""

from typing import Self

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from looplib.config import Config
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Pool
from recsys.models.similarity import SimilarityModel


class Drawn(SimilarityModel):
    """Similarities of both signs."""

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        tracks = train.matrix.shape[1]
        drawn = np.random.default_rng(seed).normal(size=(tracks, tracks))
        self.similarity = csr_matrix(drawn.astype(np.float32))
        return super().fit(train, seed=seed, threads=threads)


@pytest.mark.parametrize("pool", ["all", "new", "repeat"])
def test_lists_are_those_of_the_dense_product(train: Interactions, pool: Pool) -> None:
    model = Drawn(Config()).fit(train, seed=1, threads=2)
    scores = train.matrix.toarray() @ model.similarity.toarray()
    is_heard = train.matrix.toarray() > 0
    is_in_pool = {"all": is_heard | True, "new": ~is_heard, "repeat": is_heard}[pool]
    lists = model.recommend(3, pool)
    for row, columns in enumerate(lists):
        ranked = np.where(is_in_pool[row], scores[row], -np.inf)
        expected = np.argsort(-ranked, kind="stable")[:3]
        ends = ~np.isfinite(ranked[expected])
        assert columns.tolist() == np.where(ends, -1, expected).tolist()
    others = model.similarity.toarray()
    np.fill_diagonal(others, -np.inf)
    tracks = np.array([5, 2])
    nearest = np.argsort(-others[tracks], axis=1)[:, :4]
    assert model.similar(tracks, 4).tolist() == nearest.tolist()
