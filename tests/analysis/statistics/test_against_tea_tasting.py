"""The same numbers as tea-tasting, an independent library, on random data."""

from typing import Any

import pytest
import tea_tasting as tt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tea_tasting.experiment import ExperimentResult

from analysis.statistics import effects, multiplicity
from analysis.statistics.effects import Effect, adjust
from analysis.statistics.moments import Moments, Quantity
from tests.analysis.statistics.arms import (
    SESSIONS,
    SESSIONS_BEFORE,
    TIME,
    TIME_BEFORE,
    as_aggregates,
    draw_arms,
)

SEEDS, SIZES, LIFTS = st.integers(0, 10**6), st.integers(2, 300), st.floats(0.5, 2.0)
LEVELS = st.sampled_from([0.8, 0.95, 0.99])
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def assert_same(ours: Effect, theirs: Any) -> None:  # noqa: ANN401  a named tuple that the library builds
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


def moments_of(
    seed: int, control: int, arm: int, lift: float
) -> tuple[Moments, Moments]:
    columns = draw_arms(seed, control, arm, lift)
    return Moments.of(columns[0]), Moments.of(columns[1])


@given(seed=SEEDS, control=SIZES, arm=SIZES, lift=LIFTS, level=LEVELS)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("denominator", [None, SESSIONS])
def test_means_and_ratios(
    denominator: str | None,
    seed: int,
    control: int,
    arm: int,
    lift: float,
    level: float,
) -> None:
    left, right = moments_of(seed, control, arm, lift)
    quantity = Quantity(TIME, denominator)
    ours = effects.compare(
        effects.estimate(left, quantity), effects.estimate(right, quantity), level
    )
    metric = tt.RatioOfMeans(TIME, denominator, confidence_level=level)
    assert_same(
        ours, metric.analyze_aggregates(as_aggregates(left), as_aggregates(right))
    )


@given(seed=SEEDS, control=SIZES, arm=SIZES, lift=LIFTS)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("denominators", [(None, None), (SESSIONS, SESSIONS_BEFORE)])
def test_cuped(
    denominators: tuple[str | None, str | None],
    seed: int,
    control: int,
    arm: int,
    lift: float,
) -> None:
    left, right = moments_of(seed, control, arm, lift)
    before, after, kept = adjust(
        left,
        right,
        Quantity(TIME, denominators[0]),
        Quantity(TIME_BEFORE, denominators[1]),
    )
    assume(min(before.value, after.value) > 0.01)
    # A variance that is all but explained is the difference of two equal numbers.
    assume(kept > 1e-4 and min(control, arm) > 5)
    metric = tt.RatioOfMeans(TIME, denominators[0], TIME_BEFORE, denominators[1])
    ours = effects.compare(before, after)
    assert_same(
        ours, metric.analyze_aggregates(as_aggregates(left), as_aggregates(right))
    )


def adjusted_by_tea_tasting(p_values: list[float], *, family_wise: bool) -> list[float]:
    results = {
        "only": ExperimentResult({i: {"pvalue": p} for i, p in enumerate(p_values)})
    }
    if family_wise:
        adjusted = tt.adjust_fwer(
            results, arbitrary_dependence=True, method="bonferroni"
        )
    else:
        adjusted = tt.adjust_fdr(results)
    return [adjusted["only"][i]["pvalue_adj"] for i in range(len(p_values))]


@given(p_values=P_VALUES)
@settings(deadline=None)
def test_holm(p_values: list[float]) -> None:
    assert multiplicity.holm(p_values) == pytest.approx(
        adjusted_by_tea_tasting(p_values, family_wise=True), rel=1e-9, abs=1e-12
    )


@given(p_values=P_VALUES)
@settings(deadline=None)
def test_benjamini_hochberg(p_values: list[float]) -> None:
    theirs = adjusted_by_tea_tasting(p_values, family_wise=False)
    assert multiplicity.benjamini_hochberg(p_values) == pytest.approx(
        theirs, rel=1e-9, abs=1e-12
    )
