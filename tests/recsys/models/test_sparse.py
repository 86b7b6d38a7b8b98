"""Sparse products and neighbours, against dense arrays and plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from looplib.arrays import NO_TRACK, FloatArray
from looplib.files import exclusive
from recsys.models.kernels import compiled
from recsys.models.sparse import (
    nearest,
    products_at,
    top_neighbours,
    top_products,
)


def draw(seed: int, rows: int, columns: int, density: float = 0.3) -> csr_matrix:
    """Whole numbers, of which many products are equal, and sums of products cancel."""
    generator = np.random.default_rng(seed)
    values = generator.integers(-4, 5, (rows, columns))
    is_there = generator.random((rows, columns)) < density
    return csr_matrix(np.where(is_there, values, 0).astype(np.float32))


def best_of(values: FloatArray, k: int) -> list[int]:
    """The largest positive values, the smaller column first of equals."""
    order = np.argsort(-values, kind="stable")
    return [int(column) for column in order[:k] if values[column] > 0]


def columns_of(row: np.ndarray) -> list[int]:
    return [int(column) for column in row if column != NO_TRACK]


@given(seed=st.integers(0, 500), k=st.integers(1, 12), threads=st.integers(1, 2))
def test_the_best_of_a_product_are_those_of_the_dense_one_as_lists_and_as_a_matrix(
    seed: int, k: int, threads: int
) -> None:
    left, right = draw(seed, 9, 7), draw(seed + 1, 7, 11)
    left_out = draw(seed + 2, 9, 11, 0.2)
    dense = np.where(left_out.toarray() != 0, 0, (left @ right).toarray())
    best, values = top_products(left, right, k, threads, left_out)
    near = nearest(left, right, k, threads, left_out)
    for row in range(9):
        expected = best_of(dense[row], k)
        assert columns_of(best[row]) == expected
        assert values[row, : len(expected)].tolist() == dense[row, expected].tolist()
        assert near[row].indices.tolist() == sorted(expected)
        assert near[row].data.tolist() == dense[row, sorted(expected)].tolist()


def test_products_at_places_are_those_of_the_dense_product() -> None:
    left, right, places = draw(1, 30, 20), draw(2, 20, 25), draw(3, 30, 25)
    rows, columns = places.nonzero()
    expected = (left @ right).toarray()[rows, columns]
    assert products_at(left, right, places, 2) == pytest.approx(expected)


@pytest.mark.parametrize(("window", "power"), [(1, 0.0), (3, 0.5), (30, 0.3)])
def test_neighbours_are_played_close_by_the_same_listener(
    window: int, power: float
) -> None:
    generator = np.random.default_rng(5)
    lengths = [0, 1, 12, 30]
    plays = generator.integers(0, 9, sum(lengths)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    expected = np.zeros((10, 10))
    for first, last in pairwise(indptr):
        for one in range(first, last):
            for other in range(max(first, one - window), min(last, one + window + 1)):
                if plays[one] != plays[other]:
                    expected[plays[one], plays[other]] += 1 / abs(one - other)
    counts = np.maximum(np.bincount(plays, minlength=10), 1)
    expected /= np.outer(counts, counts) ** power
    found = top_neighbours(indptr, plays, 10, window, power, 10, threads=2)
    assert found.toarray() == pytest.approx(expected, rel=1e-5)
    few = top_neighbours(indptr, plays, 10, window, power, 2, threads=1)
    for row in range(10):
        assert sorted(few[row].data) == pytest.approx(
            sorted(expected[row][expected[row] > 0])[-2:], rel=1e-5
        )


@pytest.mark.timeout(120)  # it would wait for ever
def test_what_was_called_before_waits_for_no_other_process_that_compiles() -> None:
    matrix = csr_matrix(np.eye(2))
    products_at(matrix, matrix, matrix, 1)
    with exclusive(compiled._CACHE / "compiling.lock"):
        assert products_at(matrix, matrix, matrix, 1).tolist() == [1, 1]
