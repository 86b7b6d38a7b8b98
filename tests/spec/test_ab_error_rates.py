"""How often the rules of the verdict are wrong, by the simulation of docs/statistics.md."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from analysis.ab.config import AbConfig, FixedHorizon, expect
from analysis.statistics.effects import Estimate, compare
from benchmarks.power import DAILY, limits_of, significant, simulate
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

CONFIG = AbConfig()
RULES = {
    "any time": expect(CONFIG, CONFIG.min_days * DAILY),
    "any size": CONFIG,
    "fixed horizon": AbConfig(fixed_horizon=FixedHorizon(listeners=1)),
}
FIRST = CONFIG.min_days - 1  # days before which nothing is decided
each_rule = pytest.mark.parametrize("config", RULES.values(), ids=RULES)


@cache
def errors_of(arms: int) -> FloatArray:
    return simulate(90, (1 / (arms + 1),) * (arms + 1))


@each_rule
@pytest.mark.parametrize("arms", [1, 4])
@pytest.mark.parametrize("days", [30, 90])
def test_without_an_effect_a_look_a_day_ships_in_about_one_of_forty_at_most(
    days: int, arms: int, config: AbConfig
) -> None:
    errors = errors_of(arms)[:days]
    wins, _ = significant(errors, limits_of(config, days * DAILY, days, arms))
    assert wins[FIRST:].any(axis=0).mean() <= 0.035
    once = np.array(stats.norm.isf(CONFIG.alpha / arms / 2))
    peeking, _ = significant(errors, once)
    assert peeking[FIRST:].any(axis=0).mean() > 0.07  # what the rules are for


@each_rule
@pytest.mark.parametrize("days", [30, 90])
def test_a_guardrail_that_worsens_by_its_margin_is_kept_in_one_of_twenty_at_most(
    days: int, config: AbConfig
) -> None:
    # the effect less the margin, so that below 0 is better than allowed
    from_margin = errors_of(1)[:days]
    _, kept = significant(from_margin, limits_of(config, days * DAILY, days, 1))
    assert kept[FIRST:].any(axis=0).mean() <= 0.03


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
