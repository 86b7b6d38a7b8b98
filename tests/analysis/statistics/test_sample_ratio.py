"""Sample ratio mismatch: found where listeners are missing, and hardly ever where they are not."""

import pytest

from analysis.errors import AnalysisError
from analysis.statistics.sample_ratio import check_sample_ratio
from looplib.randomness import make_generator


def count_flagged(listeners: int, dropped: float, runs: int) -> int:
    """Of random assignments to two equal arms, with a share of the second arm's listeners dropped."""
    generator = make_generator(11, "test sample ratio")
    arms = generator.binomial(listeners, 0.5, size=runs)
    kept = generator.binomial(arms, 1 - dropped)
    pairs = zip(listeners - arms, kept, strict=True)
    return sum(check_sample_ratio({"C": int(control), "T1": int(arm)}).mismatch for control, arm in pairs)


def test_clean_assignments_are_hardly_ever_flagged() -> None:
    assert count_flagged(20_000, 0.0, runs=1_000) <= 6


def test_a_twentieth_missing_of_an_even_split_is_flagged() -> None:
    assert check_sample_ratio({"C": 10_000, "T1": 9_500}).mismatch
    assert not check_sample_ratio({"C": 10_000, "T1": 9_800}).mismatch


def test_a_twentieth_missing_is_found_whatever_the_assignments_chance() -> None:
    # At the level of 1 in 1,000 the chance is 99 % from 49,300 listeners on: (3.29 + 2.33) / 0.05 standard errors.
    assert count_flagged(55_000, 0.05, runs=1_000) > 990


def test_shares_need_not_be_equal_nor_sum_to_one() -> None:
    ratio = check_sample_ratio({"C": 601, "T1": 199, "T2": 200}, {"C": 3, "T1": 1, "T2": 1})
    assert ratio.expected == {"C": 600, "T1": 200, "T2": 200}
    assert ratio.statistic == pytest.approx(1 / 600 + 1 / 200)
    assert ratio.p_value > 0.99
    assert check_sample_ratio({"C": 601, "T1": 199, "T2": 200}).mismatch


def test_one_arm_or_no_listener_has_nothing_to_test() -> None:
    for listeners in ({"C": 10}, {"C": 0, "T1": 0}, {}):
        assert check_sample_ratio(listeners).p_value == 1


def test_an_arm_without_listeners_is_a_mismatch() -> None:
    assert check_sample_ratio({"C": 100, "T1": 0}).mismatch


@pytest.mark.parametrize(
    ("listeners", "shares", "message"),
    [
        ({"C": 1, "T1": 1}, {"C": 1.0}, "listeners of the arms C, T1, but shares of C"),
        ({"C": 1}, {"C": 0.0}, "share of C must be positive, found 0.0"),
        ({"C": 1}, {"C": float("nan")}, "share of C must be positive, found nan"),
        ({"C": -1}, {"C": 1.0}, "listeners of C must be at least 0, found -1"),
    ],
)
def test_what_cannot_be_tested_is_refused(listeners: dict[str, int], shares: dict[str, float], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        check_sample_ratio(listeners, shares)
