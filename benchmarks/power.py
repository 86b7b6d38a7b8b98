"""How often experiments of the size that `listening-loop power` names ship the better arm.

    python -m benchmarks.power

Listeners are drawn anew; one arm has an effect of 5 %, and sessions are a guardrail. Every day has
an interim analysis. The arm is shipped at the first at which it is significantly better by Holm's
procedure, and its guardrail is kept.
"""

from typing import Annotated

import numpy as np
import typer

from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import METRICS
from analysis.power import PastLog, Rule, plan
from benchmarks.harness import show
from looplib.arrays import FloatArray
from looplib.experiments import Guardrail
from looplib.randomness import make_generator

LIFT, MARGIN_PCT, LISTENERS, DAYS = 0.05, 10.0, 20_000, 30
RULES: tuple[Rule, ...] = ("any-time", "fixed-horizon")
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
    """Return means and their squared errors at each analysis, shape (metrics, analyses)."""
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
    drawn = draw(generator, LISTENERS, 1)
    metrics = [METRICS[name] for name in ("time", "sessions")]
    values = np.stack([drawn, np.ones_like(drawn)], axis=1)
    log = PastLog(metrics, values, np.full(DAYS, LISTENERS / DAYS))
    planned = plan(log, LIFT, CONFIG, arms=arms, rule=rule)
    config, count = CONFIG, planned.listeners // arms
    if rule == "fixed-horizon":
        horizon = FixedHorizon(listeners=planned.listeners)
        config = config.model_copy(update={"fixed_horizon": horizon})
    days = min(planned.days or 1, 60)
    counts = np.linspace(count / days, count, days).astype(int)
    analyses = [InterimAnalysis(config, (day + 1) / days) for day in range(days)]
    levels = config.alpha / np.arange(arms - 1, 0, -1)
    seen = list(zip(analyses, counts.tolist(), strict=True))
    limits = np.array(
        [[analysis.errors(v, 2 * n) for v in levels] for analysis, n in seen]
    )
    kept = np.array([analysis.errors(config.alpha, 2 * n) for analysis, n in seen])
    shipped = 0
    for _ in range(runs):
        summaries = [
            summarize(draw(generator, count, 1 + LIFT * (arm == 1)), counts)
            for arm in range(arms)
        ]
        shipped += ships(summaries, limits, kept)
    listeners = f"{planned.listeners:,}"
    return [str(arms), rule, listeners, str(days), f"{shipped / runs:.1%}"]


def main(runs: Annotated[int, typer.Option(min=1)] = 1000) -> None:
    """Measure two and five arms by both rules."""
    generator = make_generator(1, "power")
    rows = [measure(generator, arms, rule, runs) for arms in (2, 5) for rule in RULES]
    header = ("arms", "rule", "listeners", "analyses", "shipped")
    show("Planned for 80 %", header, rows)


if __name__ == "__main__":
    typer.run(main)
