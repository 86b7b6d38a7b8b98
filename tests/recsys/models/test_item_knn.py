"""Nearest neighbours of tracks, against those of the library implicit."""

import numpy as np
import pytest
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

from recsys.dataset.interactions import Interactions
from recsys.models.item_knn import ItemKnn


# the library converts matrices of its own
@pytest.mark.filterwarnings("ignore::implicit.utils.ParameterWarning")
@pytest.mark.parametrize(
    ("weighting", "peer"),
    [
        ("bm25", BM25Recommender(K=15, K1=1.2, B=0.75, num_threads=1)),
        ("cosine", CosineRecommender(K=15, num_threads=1)),
    ],
)
def test_nearest_neighbours_score_as_those_of_implicit(
    train: Interactions, weighting: str, peer: BM25Recommender
) -> None:
    """Lists differ where scores are equal; what they are worth does not."""
    matrix = train.matrix
    peer.fit(matrix, show_progress=False)
    model = ItemKnn(neighbours=15, weighting=weighting).fit(train, seed=1, threads=1)
    lists = model.recommend(10)
    expected, scores = peer.recommend(
        np.arange(matrix.shape[0]), matrix, 10, filter_already_liked_items=False
    )
    products = (matrix @ peer.similarity).toarray()
    ours = np.take_along_axis(products, lists.astype(np.int64), axis=1)
    assert ours[:, :5] == pytest.approx(scores[:, :5], rel=1e-3)
    assert (lists == expected).mean() > 0.9
