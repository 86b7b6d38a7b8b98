"""How often the rules of the verdict are wrong, by simulation: the figures of docs/experiments.md.

Listeners' values are lognormal with a skewness of 6, heavier-tailed than the demo's; every arm gets
50 new ones a day.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy import stats

from analysis.ab.config import AbConfig
from analysis.ab.effects import Look, detectable_pct
from analysis.statistics.effects import Estimate, compare
from analysis.statistics.sequential import p_value_at, widening
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

EXPERIMENTS, DAYS, DAILY = 2000, 90, 50
CONFIG = AbConfig()
FIRST = CONFIG.min_listeners // DAILY  # days before which nothing is decided


@dataclass(frozen=True)
class Looks:
    """Each arm against the control at the end of each day; no arm has an effect."""

    errors: FloatArray  # effects in standard errors, shape (days, experiments, arms)
    listeners: FloatArray  # in two arms, shape (days,)


@cache
def simulate(arms: int) -> Looks:
    """Draw the listeners of a control and some arms."""
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
    return Looks(errors, 2 * DAILY * np.arange(1.0, DAYS + 1))


def better(errors: FloatArray, p_values: FloatArray) -> BoolArray:
    """Return whether any arm is better and significant by Holm, the arms on the last axis."""
    order = np.argsort(p_values, axis=-1)
    steps = np.arange(p_values.shape[-1], 0, -1)
    adjusted = np.maximum.accumulate(
        np.take_along_axis(p_values, order, -1) * steps, axis=-1
    )
    return np.asarray(
        ((adjusted < CONFIG.alpha) & (np.take_along_axis(errors, order, -1) > 0)).any(
            axis=-1
        )
    )


def always_valid(looks: Looks) -> FloatArray:
    return np.stack(
        [
            p_value_at(errors, listeners, CONFIG.planned_listeners)
            for errors, listeners in zip(looks.errors, looks.listeners, strict=True)
        ]
    )


def one_look(errors: FloatArray) -> FloatArray:
    return np.asarray(2 * stats.norm.sf(np.abs(errors)))


@pytest.mark.parametrize("arms", [1, 4])
@pytest.mark.parametrize("days", [30, 90])
def test_without_an_effect_a_look_a_day_ships_in_one_of_twenty_at_most(
    arms: int, days: int
) -> None:
    looks = simulate(arms)
    wins = better(looks.errors, always_valid(looks))[FIRST:days]
    assert wins.any(axis=0).mean() <= 0.05
    at_horizon = better(looks.errors[days - 1], one_look(looks.errors[days - 1]))
    assert (wins.any(axis=0) | at_horizon).mean() <= 0.05  # either rule may ship
    peeking = better(looks.errors, one_look(looks.errors))[FIRST:days]
    assert peeking.any(axis=0).mean() > 0.07  # what the rule is for


@pytest.mark.parametrize("days", [30, 90])
def test_a_guardrail_that_worsens_by_its_margin_is_kept_in_one_of_twenty_at_most(
    days: int,
) -> None:
    looks = simulate(1)
    # the effect less the margin, so that below 0 is better than allowed
    from_margin = looks.errors[:days, :, 0]
    bounds = np.array(
        [widening(count, CONFIG.planned_listeners) for count in looks.listeners[:days]]
    )
    kept = (from_margin < -bounds[:, np.newaxis])[FIRST:].any(axis=0)
    assert (kept | (from_margin[-1] < -1.96)).mean() <= 0.05


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


@pytest.mark.parametrize("arms", [1, 4])
@pytest.mark.parametrize("at_horizon", [False, True])
def test_the_effect_that_is_called_detectable_is_found_with_the_power_that_is_claimed(
    arms: int, at_horizon: bool
) -> None:
    count, generator = 2000, make_generator(33, "verdict", arms)
    level = Look(CONFIG, arms, at_horizon).primary_level(2 * count)
    sides = Estimate(1.0, 1.0, count), Estimate(1.0, 1.0, count)
    mde_pct = detectable_pct(compare(*sides), level, CONFIG.power)
    means = generator.standard_normal((20_000, arms + 1)) / np.sqrt(count)
    means[:, 1] += mde_pct / 100  # the others have no effect
    errors = (means[:, 1:] - means[:, :1]) / np.sqrt(2 / count)
    p_values = (
        one_look(errors)
        if at_horizon
        else p_value_at(errors, 2 * count, CONFIG.planned_listeners)
    )
    assert better(errors, p_values).mean() == pytest.approx(CONFIG.power, abs=0.02)
