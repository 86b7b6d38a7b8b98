"""How often the verdict's rules err, by simulated experiments with an analysis a day.

    python -m benchmarks.power

A call counts as in a report: after `min_days`, by Bonferroni over the arms, and a day later still.
Beside each share is its standard error.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import typer

from analysis.ab.config import AbConfig, FixedHorizon, expect
from analysis.ab.interim import InterimAnalysis
from benchmarks.harness import show
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

EXPERIMENTS = 1000
DAILY = 100  # listeners of all arms
DEFAULT = AbConfig(guardrails=(), secondary=())


def simulate(days: int, shares: Sequence[float], sigma: float = 1.0) -> FloatArray:
    """Compare a ratio of lognormal values to sessions of every arm with the control's each day.

    Returns:
        Effects in standard errors, shape (days, experiments, arms less the control).
    """
    generator = make_generator(3, "power", days, len(shares))
    sums = np.zeros((5, EXPERIMENTS, len(shares)))
    counts = np.round(DAILY * np.array(shares)).astype(int)
    errors = []
    for day in range(1, days + 1):
        for arm, count in enumerate(counts):
            shape = EXPERIMENTS, count
            sessions = 1.0 + generator.poisson(1.0, shape).astype(np.float64)
            values = sessions * generator.lognormal(0.0, sigma, shape)
            pairs = (values * values, values * sessions, sessions * sessions)
            for total, part in zip(sums, (values, sessions, *pairs), strict=True):
                total[:, arm] += part.sum(axis=1)
        total = counts * day
        value, session, squares, products, session_squares = sums / total
        ratio = value / session
        variances = squares - 2 * ratio * products + ratio**2 * session_squares
        variances /= session**2
        weighted = variances * total
        common = weighted[:, :1] + weighted
        common *= (1 / total[0] + 1 / total) / (total[0] + total)
        variances /= total
        error = np.sqrt(np.maximum(variances + variances[:, :1], common))
        errors.append(((ratio - ratio[:, :1]) / error)[:, 1:])
    return np.array(errors)


def limits_of(config: AbConfig, listeners: float, days: int, arms: int) -> FloatArray:
    """Compute the bounds that effects must reach, in standard errors.

    Args:
        config: Of a report.
        listeners: Of all arms at the end.
        days: With an analysis each.
        arms: Less the control.

    Returns:
        Those of every arm, shape (days, 1, 1).
    """
    size = config.expected_listeners or listeners
    limits = np.empty((days, 1, 1))
    for day, so_far in enumerate(listeners * np.arange(1, days + 1) / days):
        analysis = InterimAnalysis(config, so_far / size, arms + 1)
        limits[day] = analysis.errors(config.alpha / arms, 2 * so_far / (arms + 1))
    return limits


def significant(errors: FloatArray, limits: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Mark where an arm is better, and where an arm is worse.

    Args:
        errors: Of `simulate`.
        limits: Of `limits_of`.
    """
    better, worse = errors >= limits, errors <= -limits
    return np.asarray(better.any(axis=-1)), np.asarray(worse.any(axis=-1))


def called(
    errors: FloatArray, config: AbConfig, listeners: float
) -> tuple[BoolArray, BoolArray]:
    """Mark the experiments with an arm that is called better, and those with one called worse.

    Args:
        errors: Of `simulate`.
        config: Of a report.
        listeners: Of all arms at the end.
    """
    days, _, arms = errors.shape
    config = expect(config, int(listeners * config.min_days / days))
    # the last analysis needs no confirmation
    is_final, begin = config.fixed_horizon is not None, config.min_days - 1
    better, worse = (
        np.asarray(
            (calls[begin + 1 :] & calls[begin:-1]).any(axis=0) | calls[-1] & is_final
        )
        for calls in significant(errors, limits_of(config, listeners, days, arms))
    )
    return better, worse


def percent(hits: BoolArray) -> str:
    """Format a share with its standard error."""
    share = hits.mean()
    return f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / len(hits)):.1f}"


def main() -> None:
    """Simulate experiments without an effect."""
    rows = []
    designs = {"2 arms": (0.5, 0.5), "5 arms": (0.2,) * 5}
    skewed = {"90 : 10": (0.9, 0.1), "10 : 90": (0.1, 0.9)}
    for days, (name, weights) in product((30, 90), {**designs, **skewed}.items()):
        errors = simulate(days, weights, sigma=2.0 if name in skewed else 1.0)
        size = days * DAILY
        horizon = {"fixed_horizon": FixedHorizon(listeners=size)}
        for rule, update in (("any time", {}), ("horizon", horizon)):
            calls = called(errors, DEFAULT.model_copy(update=update), size)
            rows.append([f"{name}, {days} days", rule, *map(percent, calls)])
    show("without an effect, %", ("experiment", "rule", "better", "worse"), rows)


if __name__ == "__main__":
    typer.run(main)
