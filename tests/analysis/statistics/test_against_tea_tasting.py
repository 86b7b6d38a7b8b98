"""The same numbers as tea-tasting, an independent library, on random data."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tea_tasting as tt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tea_tasting.experiment import ExperimentResult

from analysis.statistics import effects
from analysis.statistics.effects import Effect, adjust
from analysis.statistics.moments import Moments, Quantity
from analysis.statistics.multiplicity import benjamini_hochberg
from looplib.randomness import make_generator


def draw_listeners(seed: int, sizes: tuple[int, int], lift: float) -> pa.Table:
    """Draw skewed listening of two arms by taste, seen before the experiment as well."""
    generator = make_generator(seed, "test arms")
    arm = np.repeat([0, 1], sizes)
    taste = generator.gamma(2.0, 1.0, size=len(arm))
    sessions, before = (1.0 + generator.poisson(3 * taste) for _ in range(2))
    columns = {
        "arm": arm,
        "time": generator.gamma(2.0 * sessions) * lift**arm,
        "sessions": sessions,
        "time_before": generator.gamma(2.0 * before),
        "sessions_before": before,
    }
    return pa.table(columns)


def moments_of(listeners: pa.Table, arm: int) -> Moments:
    return Moments.of(listeners.filter(pc.field("arm") == arm).to_pydict())


def assert_same(ours: Effect, metric: Any, listeners: pa.Table) -> None:  # noqa: ANN401  of the library
    theirs = metric.analyze(listeners, 0, 1, "arm")
    pairs: dict[str, Iterable[float]] = {
        "control": [ours.control.value],
        "treatment": [ours.arm.value],
        "effect_size": ours.absolute,
        "rel_effect_size": ours.relative,
        "pvalue": [ours.p_value],
    }
    for name, values in pairs.items():
        for value, part in zip(values, ("", "_ci_lower", "_ci_upper"), strict=False):
            expected = pytest.approx(getattr(theirs, name + part), rel=1e-9, abs=1e-12)
            assert value == expected, name + part


SIZES = st.tuples(st.integers(2, 300), st.integers(2, 300))
LISTENERS = st.builds(draw_listeners, st.integers(0, 10**6), SIZES, st.floats(0.5, 2.0))


@given(listeners=LISTENERS, level=st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60)
@pytest.mark.parametrize("denominator", [None, "sessions"])
def test_means_and_ratios(
    denominator: str | None, listeners: pa.Table, level: float
) -> None:
    quantity = Quantity("time", denominator)
    control, arm = (
        effects.estimate(moments_of(listeners, arm), quantity) for arm in (0, 1)
    )
    metric = tt.RatioOfMeans("time", denominator, confidence_level=level)
    assert_same(effects.compare(control, arm, level), metric, listeners)


@given(listeners=LISTENERS)
@settings(max_examples=60)
@pytest.mark.parametrize(
    "denominators", [(None, None), ("sessions", "sessions_before")]
)
def test_cuped(
    denominators: tuple[str | None, str | None], listeners: pa.Table
) -> None:
    now, past = denominators
    control, arm = (moments_of(listeners, number) for number in (0, 1))
    before, after, kept = adjust(
        control, arm, Quantity("time", now), Quantity("time_before", past)
    )
    assume(min(before.value, after.value) > 0.01)
    # A variance that is all but explained is the difference of two equal numbers.
    assume(kept > 1e-4 and min(control.count, arm.count) > 5)
    metric = tt.RatioOfMeans("time", now, "time_before", past)
    assert_same(effects.compare(before, after), metric, listeners)


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_p_values_of_many_tests(p_values: list[float]) -> None:
    results = ExperimentResult({i: {"pvalue": p} for i, p in enumerate(p_values)})
    adjusted = tt.adjust_fdr({"only": results})["only"]
    theirs = [adjusted[i]["pvalue_adj"] for i in range(len(p_values))]
    assert benjamini_hochberg(p_values) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_p_values_that_were_not_tested_stay_so_and_do_not_count() -> None:
    correct = benjamini_hochberg
    first, untested, last = correct([0.01, math.nan, 0.04])
    assert math.isnan(untested)
    assert [first, last] == correct([0.01, 0.04])
    assert correct([]) == []
