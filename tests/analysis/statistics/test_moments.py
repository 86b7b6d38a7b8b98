"""Moments: exact under merging, and the delta method of ratios."""

from functools import reduce
from operator import add

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

COLUMNS = ("time", "sessions", "skips")


def draw(seed: int, count: int) -> dict[str, FloatArray]:
    values = make_generator(seed, "test moments").gamma(
        2.0, 3.0, size=(len(COLUMNS), count)
    )
    values[0] += values[1]
    return dict(zip(COLUMNS, values, strict=True))


def test_moments_are_count_means_and_sample_covariances() -> None:
    columns = draw(1, 50)
    moments = Moments.of(columns)
    stacked = np.stack(list(columns.values()))
    assert moments.count == 50
    np.testing.assert_allclose(moments.means, stacked.mean(axis=1), rtol=1e-13)
    np.testing.assert_allclose(moments.covariances, np.cov(stacked), rtol=1e-12)


@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_merged_parts_equal_the_whole(seed: int, sizes: list[int]) -> None:
    columns = draw(seed, sum(sizes))
    ends = np.cumsum(sizes)[:-1]
    pieces = [
        dict(zip(columns, p, strict=True))
        for p in zip(*[np.split(c, ends) for c in columns.values()], strict=True)
    ]
    merged, whole = (
        reduce(add, [Moments.of(piece) for piece in pieces]),
        Moments.of(columns),
    )
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.means, whole.means, rtol=1e-12)
    np.testing.assert_allclose(
        merged.covariances, whole.covariances, rtol=1e-10, atol=1e-12
    )


def test_merging_loses_no_digits_far_from_zero() -> None:
    columns = {name: values + 1e6 for name, values in draw(2, 400).items()}
    halves = [
        Moments.of({n: v[part] for n, v in columns.items()})
        for part in (slice(0, 150), slice(150, None))
    ]
    np.testing.assert_allclose(
        (halves[0] + halves[1]).covariances,
        np.cov(np.stack(list(columns.values()))),
        atol=1e-8,
    )


def test_a_ratio_without_denominator_is_no_number() -> None:
    moments = Moments.of({"time": [1.0, 2.0], "sessions": [0.0, 0.0]})
    assert np.isnan(moments.mean(Quantity("time", "sessions")))
    assert np.isnan(moments.covariance(Quantity("time", "sessions"), Quantity("time")))


def test_fewer_than_two_listeners_have_no_spread() -> None:
    for count in (0, 1):
        assert (Moments.of({"time": np.ones(count)}).covariances == 0).all()


def test_a_column_of_equal_values_has_no_variance_at_all() -> None:
    assert (Moments.of({"time": np.full(7, 0.1)}).covariances == 0).all()
