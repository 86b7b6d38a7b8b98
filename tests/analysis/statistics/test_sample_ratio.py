"""Sample ratio mismatch: found where listeners are missing, and hardly ever where they are not."""

import numpy as np
import pytest
from scipy import stats

from analysis.errors import AnalysisError
from analysis.statistics.sample_ratio import check_sample_ratio
from looplib.randomness import make_generator


def test_a_test_a_day_alarms_no_more_often_than_its_level() -> None:
    generator = make_generator(12, "test sample ratio")
    daily = generator.binomial(200, 0.5, size=(1000, 90)).cumsum(axis=1)
    alarms = sum(
        any(
            check_sample_ratio({"C": 200 * day - count, "T1": count}).mismatch
            for day, count in enumerate(counts.tolist(), start=1)
            # no likelihood ratio reaches 1,000 within three standard deviations
            if (count - 100 * day) ** 2 > 450 * day
        )
        for counts in daily
    )
    assert alarms <= 4  # at most a single alarm is expected


def test_shares_need_not_be_equal_nor_sum_to_one() -> None:
    ratio = check_sample_ratio(
        {"C": 601, "T1": 199, "T2": 200}, {"C": 3, "T1": 1, "T2": 1}
    )
    assert ratio.expected == {"C": 600, "T1": 200, "T2": 200}
    assert ratio.p_value == 1
    assert check_sample_ratio(ratio.observed).mismatch
    # a twentieth of many is missing
    assert check_sample_ratio({"C": 40_000, "T1": 38_000}).mismatch


def test_no_listener_has_nothing_to_test() -> None:
    for listeners in ({"C": 0, "T1": 0}, {}):
        ratio = check_sample_ratio(listeners)
        assert (ratio.p_value, ratio.mismatch) == (None, False)


def test_an_arm_without_listeners_is_a_mismatch() -> None:
    assert check_sample_ratio({"C": 100, "T1": 0}).mismatch
    ratio = check_sample_ratio({"C": 100}, {"C": 1, "T1": 1})
    assert ratio.mismatch
    assert ratio.observed == {"C": 100, "T1": 0}


def test_an_arm_without_a_share_is_refused() -> None:
    with pytest.raises(
        AnalysisError,
        match="arm T1 is in the log and has no share; shares are given for C",
    ):
        check_sample_ratio({"C": 1, "T1": 1}, {"C": 1.0})


def test_the_p_value_is_the_inverse_of_scipy_s_bayes_factor() -> None:
    counts, shares = np.array([540, 260, 200]), np.array([0.5, 0.3, 0.2])
    ratio = check_sample_ratio(
        dict(zip("ABC", counts.tolist(), strict=True)),
        dict(zip("ABC", shares.tolist(), strict=True)),
    )
    total = counts.sum()
    expected = stats.multinomial.logpmf(counts, total, shares)
    factors = [
        np.exp(
            stats.dirichlet_multinomial.logpmf(counts, width * shares, total) - expected
        )
        for width in (1e1, 1e3, 1e5)
    ]
    assert ratio.p_value == pytest.approx(min(1, 1 / np.mean(factors)))
