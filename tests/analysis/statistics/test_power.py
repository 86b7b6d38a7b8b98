"""The size of an experiment, where an independent library is silent."""

import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics.effects import Estimate, compare
from analysis.statistics.power import (
    Design,
    achieved_power,
    detectable_effect,
    needed_listeners,
)
from looplib.randomness import make_generator


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_listeners_and_detectable_effect_are_each_others_inverse(ratio: float) -> None:
    design = Design(ratio=ratio)
    listeners = needed_listeners(4.0, 0.1, design)
    assert achieved_power(4.0, listeners, 0.1, design) == pytest.approx(design.power)
    assert detectable_effect(4.0, listeners, design) == pytest.approx(0.1)


def test_power_is_how_often_the_test_finds_the_effect() -> None:
    generator, runs, each, effect = make_generator(31, "test power"), 1_000, 60, 0.45
    values = generator.normal([[[0.0]], [[effect]]], size=(2, runs, each))
    means, variances = values.mean(axis=2), values.var(axis=2, ddof=1)
    pairs = [
        [
            Estimate(float(means[arm, run]), float(variances[arm, run]), each)
            for arm in (0, 1)
        ]
        for run in range(runs)
    ]
    found = np.mean([compare(control, arm).p_value < 0.05 for control, arm in pairs])
    expected = achieved_power(1.0, 2 * each, effect, Design())
    assert found == pytest.approx(
        expected, abs=3 * math.sqrt(expected * (1 - expected) / runs)
    )


def test_the_units_of_the_metric_do_not_matter() -> None:
    design = Design()
    small, large = (
        detectable_effect(4.0 * scale**2, 1_000, design) / scale
        for scale in (1e-6, 1e6)
    )
    assert small == pytest.approx(large)


def test_an_effect_beyond_doubt_takes_the_fewest_listeners_that_can_be_tested() -> None:
    for design in (Design(), Design(ratio=0.1)):
        fewest = needed_listeners(1.0, 1e6, design)
        assert 2 < fewest < 15
        assert not math.isnan(achieved_power(1.0, fewest, 1e6, design))


def test_too_few_listeners_detect_nothing_and_no_variance_everything() -> None:
    assert math.isnan(detectable_effect(1.0, 2, Design()))
    assert math.isnan(detectable_effect(1.0, 20, Design(ratio=100)))
    assert detectable_effect(0.0, 10, Design()) == 0


def test_an_effect_of_nothing_is_never_found() -> None:
    for effect in (0.0, 1e-12):
        with pytest.raises(AnalysisError, match="no number of listeners finds"):
            needed_listeners(1.0, effect, Design())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"power": 1.0}, r"power must be between alpha \(0.05\) and 1, found 1.0"),
        (
            {"alpha": 0.5, "power": 0.4},
            r"power must be between alpha \(0.5\) and 1, found 0.4",
        ),
        ({"ratio": 0.0}, "ratio must be positive, found 0.0"),
    ],
)
def test_levels_that_no_test_has_are_refused(
    values: dict[str, float], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        Design(**values)
