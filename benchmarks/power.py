"""How often the verdict's rules err and find, by simulated experiments with an analysis a day.

    python -m benchmarks.power

A call counts as in a report: after `min_days`, by Holm over the arms, and a day later still. Beside
each share is its standard error.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import typer

from analysis.ab.config import AbConfig, FixedHorizon, expect
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import METRICS
from analysis.power import PastLog, plan
from benchmarks.harness import show
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator

EXPERIMENTS = 1000
DAILY = 100  # listeners of all arms
DEFAULT = AbConfig(guardrails=(), secondary=())
LIFT = 0.1
WEEKS4 = 28  # days in which the planned listeners come


def simulate(
    days: int,
    shares: Sequence[float] = (0.5, 0.5),
    *,
    sigma: float = 1.0,
    daily: int = DAILY,
    lift: float = 0.0,
) -> FloatArray:
    """Compare a ratio of lognormal values to sessions of every arm with the control's each day.

    Returns:
        Effects in standard errors, shape (days, experiments, arms less the control).
    """
    generator = make_generator(3, "power", days, len(shares))
    sums = np.zeros((5, EXPERIMENTS, len(shares)))
    counts = np.round(daily * np.array(shares)).astype(int)
    errors = []
    for day in range(1, days + 1):
        for arm, count in enumerate(counts):
            values, sessions = draw(generator, (EXPERIMENTS, count), sigma)
            values *= 1 + lift * (arm == 1)
            pairs = (values * values, values * sessions, sessions * sessions)
            for total, part in zip(sums, (values, sessions, *pairs), strict=True):
                total[:, arm] += part.sum(axis=1)
        total = counts * day
        value, session, squares, products, session_squares = sums / total
        ratio = value / session
        variances = squares - 2 * ratio * products + ratio**2 * session_squares
        variances /= session**2
        own, control = variances / total, (variances / total)[:, :1]
        common = (variances * total)[:, :1] + variances * total
        common *= 1 / total[0] + 1 / total
        common /= total[0] + total
        error = np.sqrt(np.maximum(own + control, common))
        errors.append(((ratio - ratio[:, :1]) / error)[:, 1:])
    return np.array(errors)


def draw(
    generator: np.random.Generator, shape: tuple[int, ...], sigma: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Draw listeners' values and sessions."""
    sessions = 1.0 + generator.poisson(1.0, shape)
    return sessions * np.exp(sigma * generator.standard_normal(shape)), sessions


def bounds(config: AbConfig, days: int, arms: int, daily: int) -> FloatArray:
    """Compute what the largest effect, the second and so on must reach, shape (days, 1, arms)."""
    config = expect(config, config.min_days * daily)
    planned = config.expected_listeners or days * daily
    analyses = [
        InterimAnalysis(config, day * daily / planned, arms + 1)
        for day in range(1, days + 1)
    ]
    levels = config.alpha / np.arange(arms, 0, -1)
    in_two = 2 * daily / (arms + 1)
    rows = [
        [analysis.errors(level, in_two * day) for level in levels.tolist()]
        for day, analysis in enumerate(analyses, 1)
    ]
    return np.array(rows)[:, np.newaxis]


def called(
    errors: FloatArray, limits: FloatArray, sign: int, *, is_final: bool
) -> BoolArray:
    """Mark the experiments with an arm that is called better (1) or worse (-1).

    The last analysis of a fixed horizon needs no confirmation.
    """
    order = np.argsort(-np.abs(errors), axis=-1)
    exceeds = np.take_along_axis(np.abs(errors), order, -1) >= limits
    passed = np.logical_and.accumulate(exceeds, axis=-1)
    passed &= np.take_along_axis(np.sign(errors), order, -1) == sign
    found = np.zeros_like(passed)
    np.put_along_axis(found, order, passed, -1)
    found = found[DEFAULT.min_days - 1 :]
    confirmed = (found[1:] & found[:-1]).any(axis=0)
    return np.asarray((confirmed | found[-1] & is_final).any(axis=1))


def percent(hits: BoolArray) -> str:
    """Format a share with its standard error."""
    share = hits.mean()
    return f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / len(hits)):.1f}"


def main() -> None:
    """Simulate experiments without an effect, and with one at the planned size."""
    rows = []
    for days in (30, 90):
        for name, shares, sigma in (
            ("2 arms", (0.5, 0.5), 1.0),
            ("5 arms", (0.2,) * 5, 1.0),
            ("90 : 10, sigma 2", (0.9, 0.1), 2.0),
            ("10 : 90, sigma 2", (0.1, 0.9), 2.0),
        ):
            errors = simulate(days, shares, sigma=sigma)
            for rule, config in (
                ("any time", DEFAULT),
                ("horizon", with_horizon(days * DAILY)),
            ):
                limits = bounds(config, days, len(shares) - 1, DAILY)
                cells = [
                    percent(called(errors, limits, sign, is_final=rule == "horizon"))
                    for sign in (1, -1)
                ]
                rows.append([f"{name}, {days} days", rule, *cells])
    show("without an effect, %", ("experiment", "rule", "better", "worse"), rows)

    past = np.array([draw(make_generator(4, "power"), (200_000,))])
    log = PastLog([METRICS["time_per_session"]], past, np.full(WEEKS4, 300.0))
    rows = []
    for name, rule in (("horizon", "fixed-horizon"), ("any time", "any-time")):
        size = plan(log, LIFT, DEFAULT, rule=rule).listeners
        daily = ceil(size / WEEKS4)
        errors = simulate(WEEKS4, daily=daily, lift=LIFT)
        is_final = rule == "fixed-horizon"
        limits = bounds(with_horizon(size) if is_final else DEFAULT, WEEKS4, 1, daily)
        found = called(errors, limits, 1, is_final=is_final)
        rows.append([name, f"{size:,}", percent(found)])
    show(f"{100 * LIFT:g} % better", ("rule", "planned listeners", "found, %"), rows)


def with_horizon(listeners: int) -> AbConfig:
    """Configure a fixed horizon."""
    return DEFAULT.model_copy(
        update={"fixed_horizon": FixedHorizon(listeners=listeners)}
    )


if __name__ == "__main__":
    typer.run(main)
