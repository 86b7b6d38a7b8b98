"""Always-valid intervals: looking every day costs no more false positives than were asked for."""

import math

import numpy as np
import pytest
from scipy import special

from analysis.ab.config import AbConfig
from analysis.ab.interim import InterimAnalysis
from analysis.statistics import always_valid
from analysis.statistics.always_valid import ANY_SIZE, p_value_at, widening
from analysis.statistics.effects import Estimate, compare
from looplib.randomness import make_generator

EXPERIMENTS, DAYS = 1_000, 30
LOOK = InterimAnalysis(AbConfig())


def test_one_unit_alone_is_the_published_boundary() -> None:
    at = {
        listeners: widening(listeners, (10_000,), 0.05, 0.05)
        for listeners in (100, 9_000, 10_000, 11_000, 10**6)
    }
    assert min(at, key=lambda listeners: at[listeners]) == 10_000
    assert at[10_000] == pytest.approx(3.035, abs=0.001)
    # t ρ² at 10,000 listeners by appendix B.2, of which the boundary follows in closed form
    t = -float(special.lambertw(-(0.05**2) / math.e, k=-1).real) - 1
    for listeners, found in at.items():
        now = t * listeners / 10_000
        square = (1 + 1 / now) * (math.log1p(now) - 2 * math.log(0.05))
        assert found == pytest.approx(math.sqrt(square), rel=1e-12)


def test_the_mixture_is_narrow_from_small_experiments_to_large_ones() -> None:
    widths = [widening(n, ANY_SIZE, 0.05, 0.05) for n in (2e3, 2e4, 2e5, 2e6, 2e7)]
    assert max(widths) < 3.7
    assert widening(0, ANY_SIZE, 0.05, 0.05) == math.inf
    # The expectation is 1 at any time if there is no effect.
    z = np.linspace(-5000, 5000, 100_001)
    for n in (50, 5e4, 3e7):
        times = always_valid._times(n, ANY_SIZE, 0.05)[:, np.newaxis]
        units = np.exp(z**2 / 2 * times / (1 + times) - z**2 / 2) / np.sqrt(1 + times)
        density = units.mean(axis=0) / math.sqrt(2 * math.pi)
        assert np.trapezoid(density, z) == pytest.approx(1, rel=1e-6)


def test_the_interval_is_the_effect_and_a_widened_error() -> None:
    effect = compare(Estimate(4.0, 3.0, 400_000), Estimate(5.0, 1.0, 600_000))
    interval = LOOK.widen(effect).absolute
    margin = math.sqrt(3 / 400_000 + 1 / 600_000) * LOOK.errors(0.05, 1_000_000)
    assert (interval.lower, interval.upper) == pytest.approx(
        (1 - margin, 1 + margin), rel=1e-5
    )


@pytest.mark.parametrize("level", [0.1, 0.05, 0.001])
def test_the_p_value_is_the_level_at_which_the_interval_touches_zero(
    level: float,
) -> None:
    errors = widening(1_000, ANY_SIZE, level, 0.05)
    assert p_value_at(errors, 1_000, ANY_SIZE, 0.05) == pytest.approx(level, rel=1e-9)
    assert p_value_at(0.0, 1_000, ANY_SIZE, 0.05) == 1


@pytest.mark.parametrize("progress", [0.25, 0.9, 1.0, 1.2, 9])
def test_the_default_rule_keeps_its_level_by_two_tests_that_share_it(
    progress: float,
) -> None:
    config = AbConfig(expected_listeners=8000)
    look = InterimAnalysis(config, progress)
    listeners = 8000 * progress
    alone = widening(listeners, (8000,), 0.75 * 0.05, 0.05)
    errors = look.errors(0.05, listeners)
    if progress > 1:
        assert errors == alone
    else:
        assert errors <= alone
    assert look.p_value(errors, listeners) == pytest.approx(0.05, rel=1e-3)


def test_a_smaller_arm_has_at_least_the_variance_of_both() -> None:
    lucky = compare(Estimate(5.0, 90.0, 9000), Estimate(4.0, 10.0, 1000))
    alike = compare(Estimate(5.0, 82.0, 9000), Estimate(4.0, 82.0, 1000))
    lower, expected = (LOOK.widen(effect).absolute.lower for effect in (lucky, alike))
    assert lower == pytest.approx(expected, rel=1e-3)
    assert lucky.caution > 2
    assert alike.caution == pytest.approx(1, abs=1e-12)


def test_without_an_error_there_is_no_sequence() -> None:
    none, sure, same = (
        LOOK.widen(compare(Estimate(1.0, error, 10), Estimate(value, error, count)))
        for value, error, count in ((2.0, 0.0, 1), (2.0, 0.0, 10), (1.0, 1.0, 10))
    )
    assert math.isnan(none.absolute.lower)
    assert math.isnan(none.p_value)
    assert (sure.p_value, same.p_value) == (0, 1)


def test_daily_looks_at_the_same_listeners_err_as_seldom_as_asked_for() -> None:
    """Listeners who come every day: their totals grow, their number does not."""
    listeners = 100
    generator = make_generator(22, "test sequential")
    taste = generator.gamma(1.0, size=(EXPERIMENTS, 2, 1, listeners))
    daily = generator.gamma(0.5 + taste, size=(EXPERIMENTS, 2, DAYS, listeners))
    totals = np.cumsum(daily, axis=2)
    means, variances = totals.mean(axis=3), totals.var(axis=3, ddof=1)
    errors = np.sqrt((variances / listeners).sum(axis=1))
    margin = widening(2 * listeners, (2 * listeners,), 0.05, 0.05)
    significant = np.abs(means[:, 1] - means[:, 0]) > margin * errors
    assert significant.any(axis=1).mean() <= 0.05
