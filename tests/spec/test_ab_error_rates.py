"""How often the rules of the verdict are wrong, by simulation: the figures of docs/statistics.md.

Listeners' values are lognormal with a skewness of 6, heavier-tailed than the demo's; every arm gets
50 new ones a day.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from analysis.ab.config import AbConfig, FixedHorizon, expect
from analysis.ab.interim import InterimAnalysis
from analysis.statistics.effects import Estimate, compare
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

EXPERIMENTS, DAYS, DAILY = 2000, 90, 50
CONFIG = AbConfig()
RULES = {
    "any time": expect(CONFIG, CONFIG.min_days * 2 * DAILY),
    "any size": CONFIG,
    "fixed horizon": AbConfig(fixed_horizon=FixedHorizon(listeners=1)),
}
FIRST = CONFIG.min_days - 1  # days before which nothing is decided


@cache
def simulate(arms: int) -> FloatArray:
    """Compare arms without an effect with the control, at the end of each day.

    Returns:
        Effects in standard errors, shape (days, experiments, arms).
    """
    generator = make_generator(31, "verdict", arms)
    sums, squares = np.zeros((2, EXPERIMENTS, arms + 1))
    errors = np.empty((DAYS, EXPERIMENTS, arms))
    for day in range(1, DAYS + 1):
        values = np.exp(
            generator.standard_normal((EXPERIMENTS, arms + 1, DAILY), np.float32)
        )
        sums += values.sum(axis=2)
        squares += np.einsum("abc,abc->ab", values, values)
        count = day * DAILY
        means = sums / count
        variances = (squares / count - means**2) / (count - 1)
        errors[day - 1] = (means[:, 1:] - means[:, :1]) / np.sqrt(
            variances[:, 1:] + variances[:, :1]
        )
    return errors


def better(errors: FloatArray, limits: FloatArray) -> BoolArray:
    """Mark where any arm is better and significant by Holm, the arms on the last axis.

    The limits are those of the largest effect, the second, and so on, in standard errors.
    """
    order = np.argsort(-np.abs(errors), axis=-1)
    ordered = np.take_along_axis(errors, order, -1)
    passed = np.logical_and.accumulate(np.abs(ordered) >= limits, axis=-1)
    return np.asarray((passed & (ordered > 0)).any(axis=-1))


def limits_of(config: AbConfig, days: int, arms: int) -> FloatArray:
    """Compute the bounds that effects must reach at each day of so many, shape (days, 1, arms)."""
    levels = config.alpha / np.arange(arms, 0, -1)
    daily = (arms + 1) * DAILY
    planned = config.expected_listeners or days * daily
    found = [
        [
            InterimAnalysis(config, day * daily / planned, arms + 1).errors(
                level, 2 * DAILY * day
            )
            for level in levels
        ]
        for day in range(1, days + 1)
    ]
    return np.array(found)[:, np.newaxis]


@pytest.mark.parametrize("config", RULES.values(), ids=RULES)
@pytest.mark.parametrize("arms", [1, 4])
@pytest.mark.parametrize("days", [30, 90])
def test_without_an_effect_a_look_a_day_ships_in_about_one_of_forty_at_most(
    days: int, arms: int, config: AbConfig
) -> None:
    looks = simulate(arms)
    wins = better(looks[:days], limits_of(config, days, arms))[FIRST:]
    assert wins.any(axis=0).mean() <= 0.035
    once = stats.norm.isf(CONFIG.alpha / np.arange(arms, 0, -1) / 2)
    peeking = better(looks[:days], once)[FIRST:]
    assert peeking.any(axis=0).mean() > 0.07  # what the rules are for


@pytest.mark.parametrize("config", RULES.values(), ids=RULES)
@pytest.mark.parametrize("days", [30, 90])
def test_a_guardrail_that_worsens_by_its_margin_is_kept_in_one_of_twenty_at_most(
    days: int, config: AbConfig
) -> None:
    # the effect less the margin, so that below 0 is better than allowed
    from_margin = simulate(1)[:days, :, 0]
    bounds = limits_of(config, days, 1)[:, :, 0]
    kept = (from_margin < -bounds)[FIRST:].any(axis=0)
    assert kept.mean() <= 0.03


def test_intervals_at_the_default_minimum_hold_the_effect_as_often_as_they_say() -> (
    None
):
    generator = make_generator(32, "verdict")
    values = np.exp(generator.standard_normal((4000, 2, CONFIG.min_listeners)))
    means, variances = values.mean(axis=2), values.var(axis=2, ddof=1)
    means[:, 1], variances[:, 1] = 1.2 * means[:, 1], 1.44 * variances[:, 1]
    covered = []
    for (control, arm), (before, after) in zip(
        means.tolist(), variances.tolist(), strict=True
    ):
        effect = compare(
            Estimate(control, before, CONFIG.min_listeners),
            Estimate(arm, after, CONFIG.min_listeners),
        )
        absolute, relative, true = effect.absolute, effect.relative, 0.2 * np.exp(0.5)
        covered.append(
            (
                absolute.lower <= true <= absolute.upper,
                relative.lower <= 0.2 <= relative.upper,
            )
        )
    assert np.mean(covered, axis=0) == pytest.approx(0.95, abs=0.01)
