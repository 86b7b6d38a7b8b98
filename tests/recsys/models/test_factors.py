"""Top-k lists against a full sort."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from looplib.arrays import NO_TRACK
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Factors
from recsys.models.kernels.ranking import rank_tracks


@pytest.mark.parametrize(
    ("factors", "tracks", "k"),
    [(1, 900, 30), (5, 3000, 100), (64, 5000, 30), (4, 40, 35)],
)
def test_compiled_lists_are_those_of_exact_products_and_equal_ones_go_by_column(
    factors: int, tracks: int, k: int
) -> None:
    """Small whole numbers have exact products, of which many are equal.

    A listener in ten has no factors, and of 40 tracks too few are left: lists end with `NO_TRACK`.
    """
    generator = np.random.default_rng(factors)
    users, items = (
        generator.integers(-3, 4, (rows, factors)).astype(np.float32)
        for rows in (300, tracks)
    )
    items *= generator.choice([0, 1, 1, 40], (tracks, 1)).astype(np.float32)
    users[::10] = 0
    seen = csr_matrix((generator.random((300, tracks)) < 0.3).astype(np.float32))
    exact = users.astype(np.int64) @ items.T.astype(np.int64)
    for threads in (1, 3):
        is_seen = seen.toarray() > 0
        for filtered, only_seen, products in (
            (None, False, exact),
            (seen, False, np.where(is_seen, -np.inf, exact)),
            (seen, True, np.where(is_seen, exact, -np.inf)),
        ):
            expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
            best = np.take_along_axis(products, expected, axis=1)
            is_there = np.isfinite(best)
            lists, found = rank_tracks(
                users, items, k, threads, filtered, only_seen=only_seen
            )
            assert np.array_equal(lists, np.where(is_there, expected, NO_TRACK))
            assert np.array_equal(found, np.where(is_there, best, 0))


def test_listeners_who_heard_none_get_the_popular_tracks() -> None:
    heard = np.array([[3, 1, 2, 0], [0, 0, 0, 0]], np.float32)
    train = Interactions(csr_matrix(heard))
    items = np.array([[1], [2], [3], [4]], np.float32)
    factors = Factors(np.ones((2, 1), np.float32), items)
    lists = factors.recommend(train, 3, threads=1)
    assert lists.tolist() == [[3, 2, 1], [0, 2, 1]]
    unseen = factors.recommend(train, 3, threads=1, pool="new")
    assert unseen.tolist() == [[3, -1, -1], [0, 2, 1]]
