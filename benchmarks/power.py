"""How often experiments of the size that `listening-loop power` names ship the better arm.

    python -m benchmarks.power

Listeners are drawn anew; one arm has an effect of 5 %, and sessions are a guardrail. Every day is a
look. The arm is shipped at the first at which it is significantly better by Holm's procedure, and
its guardrail is kept.
"""

from typing import Annotated

import numpy as np
import typer

from analysis.ab.config import AbConfig, Horizon
from analysis.ab.looks import Look
from analysis.ab.metrics import METRICS
from analysis.power import Log, Rule, plan
from benchmarks.harness import show
from looplib.arrays import FloatArray
from looplib.experiments import Guardrail
from looplib.randomness import make_generator

LIFT, MARGIN_PCT, LISTENERS, DAYS = 0.05, 10.0, 20_000, 30
RULES: tuple[Rule, ...] = ("any-time", "horizon")
CONFIG = AbConfig(
    primary=("time",),
    guardrails=(Guardrail(metric="sessions", margin_pct=MARGIN_PCT),),
    secondary=(),
)


def draw(generator: np.random.Generator, count: int, lift: float) -> FloatArray:
    """Draw listening times and sessions, which depend on each other, shape (2, listeners)."""
    taste = generator.lognormal(0, 0.5, count)
    sessions = 1.0 + generator.poisson(3 * taste)
    return np.stack([lift * sessions * generator.gamma(2.0, size=count), sessions])


def summarize(values: FloatArray, counts: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Return means and their squared errors at each look, shape (metrics, looks)."""
    sums, squares = (
        np.cumsum(part, axis=1)[:, counts - 1] for part in (values, values**2)
    )
    means = sums / counts
    return means, (squares / counts - means**2) / (counts - 1)


def ships(
    arms: list[tuple[FloatArray, FloatArray]], limits: FloatArray, kept: FloatArray
) -> bool:
    """Return whether the first arm is the one that is shipped; the control is first."""
    (control, control_errors), *others = arms
    errors = np.stack(
        [(m - control)[0] / np.sqrt(e + control_errors)[0] for m, e in others], 1
    )
    order = np.argsort(-np.abs(errors), axis=1)
    passed = np.abs(np.take_along_axis(errors, order, 1)) >= limits
    significant = np.zeros_like(passed)
    np.put_along_axis(
        significant, order, np.logical_and.accumulate(passed, axis=1), axis=1
    )
    lowest = [
        np.log(m / control)[1]
        - kept * np.sqrt(e / m**2 + control_errors / control**2)[1]
        for m, e in others
    ]
    holds = np.stack(lowest, 1) >= np.log(1 - MARGIN_PCT / 100)
    wins = significant & (errors > 0) & holds
    first = np.argmax(wins.any(axis=1))
    return bool(wins[first, 0])


def measure(
    generator: np.random.Generator, arms: int, rule: Rule, runs: int
) -> list[str]:
    """Plan, and return what the plan says and how often the better arm is shipped, as texts."""
    columns = dict(
        zip(("time", "sessions"), draw(generator, LISTENERS, 1), strict=True)
    )
    metrics = [METRICS[name] for name in columns]
    log = Log(metrics, columns, np.full(DAYS, LISTENERS / DAYS))
    planned = plan(log, LIFT, CONFIG, arms=arms, rule=rule)
    config, count = CONFIG, planned.listeners // arms
    if rule == "horizon":
        horizon = Horizon(listeners=planned.listeners)
        config = config.model_copy(update={"horizon": horizon})
    days = min(planned.days or 1, 60)
    counts = np.linspace(count / days, count, days).astype(int)
    looks = [Look(config, (day + 1) / days) for day in range(days)]
    levels = config.alpha / np.arange(arms - 1, 0, -1)
    seen = list(zip(looks, counts.tolist(), strict=True))
    limits = np.array([[look.errors(v, 2 * n) for v in levels] for look, n in seen])
    kept = np.array([look.errors(config.alpha, 2 * n) for look, n in seen])
    shipped = 0
    for _ in range(runs):
        drawn = [
            summarize(draw(generator, count, 1 + LIFT * (arm == 1)), counts)
            for arm in range(arms)
        ]
        shipped += ships(drawn, limits, kept)
    listeners = f"{planned.listeners:,}"
    return [str(arms), rule, listeners, str(days), f"{shipped / runs:.1%}"]


def main(runs: Annotated[int, typer.Option(min=1)] = 1000) -> None:
    """Measure two and five arms by both rules."""
    generator = make_generator(1, "power")
    rows = [measure(generator, arms, rule, runs) for arms in (2, 5) for rule in RULES]
    header = ("arms", "rule", "listeners", "looks", "shipped")
    show("Planned for 80 %", header, rows)


if __name__ == "__main__":
    typer.run(main)
