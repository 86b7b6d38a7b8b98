"""Moments: exact under merging, and the delta method of ratios."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.moments import Moments, Quantity, stratify
from looplib.randomness import make_generator

COLUMNS = ("time", "sessions", "skips")


@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
    far=st.sampled_from([0.0, 1e6]),
)
def test_merged_parts_have_count_means_and_sample_covariances_of_the_whole(
    seed: int, sizes: list[int], far: float
) -> None:
    count = sum(sizes)
    values = make_generator(seed, "test moments").gamma(2.0, 3.0, size=(3, count)) + far
    values[0] += values[1]
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    merged = reduce(
        add, [Moments.of(dict(zip(COLUMNS, part, strict=True))) for part in parts]
    )
    assert merged.count == count
    np.testing.assert_allclose(merged.means, values.mean(axis=1), rtol=1e-12)
    expected = np.cov(values) if count > 1 else np.zeros((3, 3))
    atol = 1e-8 if far else 1e-12
    np.testing.assert_allclose(merged.covariances, expected, rtol=1e-10, atol=atol)


def test_a_ratio_without_denominator_is_no_number() -> None:
    moments = Moments.of({"time": [1.0, 2.0], "sessions": [0.0, 0.0]})
    assert np.isnan(moments.mean(Quantity("time", "sessions")))
    assert np.isnan(moments.covariance(Quantity("time", "sessions"), Quantity("time")))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_fewer_than_two_listeners_or_equal_values_have_no_variance_at_all(
    count: int,
) -> None:
    assert (Moments.of({"time": np.full(count, 0.1)}).covariances == 0).all()


def test_strata_weigh_alike_in_every_arm_and_lose_no_precision() -> None:
    generator = make_generator(5, "strata")
    plays, errors = Quantity("time"), []
    for steady in (True, False):
        days = []
        for day in range(10):
            size = 100 if steady else 60 + 80 * (day < 5)
            sizes = {"C": size, "T1": 200 - size}
            heard = {
                arm: generator.normal(5 - 4 * (day < 5), 1, count)
                for arm, count in sizes.items()
            }
            days.append(
                {arm: Moments.of({"time": rows}) for arm, rows in heard.items()}
            )
        whole = {arm: reduce(add, (day[arm] for day in days)) for arm in ("C", "T1")}
        arms = stratify(days)
        gain = arms["T1"].mean(plays) - arms["C"].mean(plays)
        assert abs(gain) < 0.2  # five standard errors
        raw = whole["T1"].mean(plays) - whole["C"].mean(plays)
        assert (abs(raw) < 0.4) == steady
        for arm, moments in arms.items():
            assert moments.count == whole[arm].count
            errors.append(moments.variance(plays) / whole[arm].variance(plays))
    assert max(errors) < 0.5  # the day explains most of the variance


def test_small_strata_are_merged_and_a_single_one_is_as_it_was() -> None:
    generator = make_generator(6, "strata")
    days = [
        {arm: Moments.of({"time": generator.random(count)}) for arm in ("C", "T1")}
        for count in (30, 30, 3)
    ]
    arms = stratify(days)
    for arm, moments in arms.items():
        whole = reduce(add, (day[arm] for day in days))
        np.testing.assert_array_equal(moments.covariances, whole.covariances)
    assert stratify(days[:1])["C"] is days[0]["C"]
