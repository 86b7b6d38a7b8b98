"""The same numbers as tea-tasting, an independent library, on random data."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
import tea_tasting as tt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tea_tasting.experiment import ExperimentResult

from analysis.statistics import effects
from analysis.statistics.effects import Effect, adjust
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from tests.analysis.statistics.arms import (
    SESSIONS,
    SESSIONS_BEFORE,
    TIME,
    TIME_BEFORE,
    as_aggregates,
    draw_arms,
)

Arms: TypeAlias = tuple[Moments, Moments]


def assert_same(ours: Effect, metric: Any, arms: Arms) -> None:  # noqa: ANN401  of the library
    theirs = metric.analyze_aggregates(*map(as_aggregates, arms))
    pairs = {
        "control": ours.control.value,
        "treatment": ours.arm.value,
        "effect_size": ours.absolute.value,
        "effect_size_ci_lower": ours.absolute.lower,
        "effect_size_ci_upper": ours.absolute.upper,
        "rel_effect_size": ours.relative.value,
        "rel_effect_size_ci_lower": ours.relative.lower,
        "rel_effect_size_ci_upper": ours.relative.upper,
        "pvalue": ours.p_value,
    }
    for name, value in pairs.items():
        assert value == pytest.approx(getattr(theirs, name), rel=1e-9, abs=1e-12), name


def draw_moments(seed: int, control: int, arm: int, lift: float) -> Arms:
    columns = draw_arms(seed, control, arm, lift)
    return Moments.of(columns[0]), Moments.of(columns[1])


SIZES = st.integers(2, 300)
ARMS = st.builds(draw_moments, st.integers(0, 10**6), SIZES, SIZES, st.floats(0.5, 2.0))


@given(arms=ARMS, level=st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60)
@pytest.mark.parametrize("denominator", [None, SESSIONS])
def test_means_and_ratios(denominator: str | None, arms: Arms, level: float) -> None:
    quantity = Quantity(TIME, denominator)
    control, arm = (effects.estimate(moments, quantity) for moments in arms)
    metric = tt.RatioOfMeans(TIME, denominator, confidence_level=level)
    assert_same(effects.compare(control, arm, level), metric, arms)


@given(arms=ARMS)
@settings(max_examples=60)
@pytest.mark.parametrize("denominators", [(None, None), (SESSIONS, SESSIONS_BEFORE)])
def test_cuped(denominators: tuple[str | None, str | None], arms: Arms) -> None:
    now, past = denominators
    before, after, kept = adjust(
        *arms, Quantity(TIME, now), Quantity(TIME_BEFORE, past)
    )
    assume(min(before.value, after.value) > 0.01)
    # A variance that is all but explained is the difference of two equal numbers.
    assume(kept > 1e-4 and min(moments.count for moments in arms) > 5)
    metric = tt.RatioOfMeans(TIME, now, TIME_BEFORE, past)
    assert_same(effects.compare(before, after), metric, arms)


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_p_values_of_many_tests(p_values: list[float]) -> None:
    results = ExperimentResult({i: {"pvalue": p} for i, p in enumerate(p_values)})
    bonferroni = {"arbitrary_dependence": True, "method": "bonferroni"}
    for ours, adjusted in (
        (holm(p_values), tt.adjust_fwer({"only": results}, **bonferroni)),
        (benjamini_hochberg(p_values), tt.adjust_fdr({"only": results})),
    ):
        theirs = [adjusted["only"][i]["pvalue_adj"] for i in range(len(p_values))]
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_p_values_that_were_not_tested_stay_so_and_do_not_count(
    correct: Callable[[Sequence[float]], list[float]],
) -> None:
    first, untested, last = correct([0.01, math.nan, 0.04])
    assert math.isnan(untested)
    assert [first, last] == correct([0.01, 0.04])
    assert correct([]) == []
