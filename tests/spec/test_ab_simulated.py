"""Simulated experiments whose truth is known, each with the verdict that it must have.

Every situation is drawn from one generator by its name. Effects that are there are ten or more
standard errors large, so that chance decides nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import listening_loop as ll
from analysis.ab import words
from analysis.ab.config import AbConfig
from analysis.ab.report import build_report
from analysis.page import numbers
from looplib.arrays import FloatArray
from looplib.randomness import make_generator
from tests.analysis.ab.logs import DAY_MS, START_MS, event, write

Generator = np.random.Generator
Rows = Callable[[Generator], Any]
Heard = Callable[[str, int, int], float]  # arm, day, day of the listener → share heard
LIMITED: Any = {"metrics": ["minutes"], "guardrails": {"visits": -10}}
ARMS = ("C", "T1")
_SIZE = 2000  # listeners an arm


def skewed(generator: Generator, mean: float, size: int) -> FloatArray:
    return generator.gamma(2.0, mean / 2, size)


def listeners(
    size: int = _SIZE,
    draw: Callable[[Generator, float, int], FloatArray] = skewed,
    **means: float,
) -> Rows:
    """A row a listener, whose minutes have the mean of the arm."""

    def rows(generator: Generator) -> pd.DataFrame:
        arms = {arm: draw(generator, mean, size) for arm, mean in means.items()}
        return pd.concat(
            pd.DataFrame({"arm": arm, "minutes": minutes})
            for arm, minutes in arms.items()
        ).reset_index(drop=True)

    return rows


def beside(rows: Rows, **columns: Callable[[Generator, pd.DataFrame], Any]) -> Rows:
    """Rows with further columns."""

    def more(generator: Generator) -> pd.DataFrame:
        frame = rows(generator)
        added = {n: f(generator, frame) for n, f in columns.items()}
        result: pd.DataFrame = frame.assign(**added)
        return result

    return more


def visits(**means: float) -> Callable[[Generator, pd.DataFrame], Any]:
    return lambda generator, frame: generator.poisson(frame["arm"].map(means))


def whale(arm: str) -> Callable[[Generator, pd.DataFrame], Any]:
    """Minutes in which an arm's first listener has 50,000."""
    return lambda _, frame: frame["minutes"].mask(
        frame.index == (frame["arm"] == arm).idxmax(), 5e4
    )


def mostly_nothing(generator: Generator, mean: float, size: int) -> FloatArray:
    heard = generator.random(size) < 0.05
    return np.where(heard, skewed(generator, 20 * mean, size), 0)


def by_day(days: int, daily: int = 500, **gains: Callable[[int], float]) -> Rows:
    """Aggregates until each day of listeners who come once, with a gain by day, in %."""

    def rows(generator: Generator) -> pd.DataFrame:
        found = []
        for arm, gain in {"C": lambda _: 0.0, **gains}.items():
            heard = np.array([])
            for day in range(days):
                mean = 30 * (1 + gain(day) / 100)
                heard = np.append(heard, generator.normal(mean, 10, daily))
                row = {"arm": arm, "metric": "minutes", "count": len(heard)}
                row |= {"mean": heard.mean(), "variance": heard.var(ddof=1)}
                found.append(row | {"time": f"2026-01-{day + 5:02}"})  # from Monday on
        return pd.DataFrame(found)

    return rows


def log(
    heard: Heard,
    *,
    days: int = 12,
    stays: int = 1,
    daily: Callable[[str, int], int] = lambda _arm, _day: 40,
    latency: Callable[[str], float] = lambda _: 0.005,
    past: int = 0,
) -> Rows:
    """A log of listeners who come on each day and stay for some; `past` without an arm."""

    def rows(generator: Generator) -> list[dict[str, Any]]:
        events, user = [], 0
        for first in range(days):
            for arm in ARMS:
                for _ in range(daily(arm, first)):
                    user += 1
                    for day in range(first - past, min(first + stays, days)):
                        in_arm = {"ALS": arm} if day >= first else {}
                        mean = heard(arm, day, day - first) if in_arm else 0.5
                        start = START_MS + day * DAY_MS
                        start += int(generator.integers(DAY_MS - 10))
                        more: dict[str, Any] = {"experiments": in_arm}
                        more["latency"] = latency(arm) * generator.uniform(0.9, 1.1)
                        share = float(np.clip(generator.normal(mean, 0.1), 0, 1))
                        events.append(event(user, start, time=1.0, **more))
                        more |= {"track": 2, "time": share}
                        events.append(event(user, start + 5, "last", **more))
        return events

    return rows


def case(
    name: str,
    rows: Rows,
    decision: str,
    *sentences: str,
    **options: Any,  # noqa: ANN401  of `ll.ab`
) -> Any:  # noqa: ANN401  a parameter of pytest
    return pytest.param(name, rows, decision, sentences, options, id=name)


@pytest.mark.parametrize(
    ("name", "rows", "decision", "sentences", "options"),
    [
        case("a gain", listeners(C=30, T1=39), "ship", "plan with +"),
        case("a loss", listeners(C=30, T1=21), "do not ship", "worse than"),
        case("nothing", listeners(C=30, T1=30), "wait", "may be chance"),
        case(
            "a gain at the end",
            listeners(C=30, T1=39),
            "ship",
            "The fixed horizon is reached.",
            fixed_horizon={"listeners": 2 * _SIZE},
        ),
        case(
            "many without a minute",
            listeners(20_000, mostly_nothing, C=30, T1=54),
            "ship",
            "is better than",
        ),
        case("many of both", listeners(20_000, mostly_nothing, C=30, T1=30), "wait"),
        case(
            "heavy tails",
            listeners(draw=lambda g, mean, n: g.lognormal(0, 2, n) * mean, C=1, T1=1),
            "wait",
        ),
        case(
            "heavy tails of unequal arms",
            beside(
                listeners(draw=lambda g, _, n: g.lognormal(0, 2, n), C=1),
                arm=lambda g, f: np.where(g.random(len(f)) < 0.1, "T1", "C"),
            ),
            "wait",
            shares={"C": 9, "T1": 1},
            min_listeners=100,
        ),
        case(
            "more plays, no longer",
            beside(
                listeners(C=30, T1=39),
                plays=lambda g, f: f["minutes"] * g.uniform(0.9, 1.1, len(f)),
            ),
            "wait",
            metrics=["plays / minutes"],
        ),
        case(
            "a ratio",
            beside(
                listeners(C=30, T1=30),
                plays=lambda g, f: g.poisson(f["arm"].map({"C": 20, "T1": 15})),
            ),
            "ship",
            metrics=["minutes / plays"],
        ),
        case(
            "sessions of few listeners",
            beside(
                listeners(C=30, T1=30),
                user=lambda _, f: f.index // 8,
                minutes=lambda _, f: np.repeat(f["minutes"].to_numpy()[::8], 8),
            ),
            "wait",
            listener="user",
        ),
        case(
            "a whale",
            beside(listeners(C=30, T1=30), minutes=whale("T1")),
            "wait",
            "% of 'Minutes' in T1. If values end at the largest but",
        ),
        case(
            "a whale of the control",
            beside(listeners(C=30, T1=39), minutes=whale("C")),
            "wait",
            "One listener has 4",
            "the effect is T1 +",
        ),
        case(
            "a gain that may be too small",
            listeners(60_000, lambda g, mean, n: g.normal(mean, 6, n), C=30, T1=30.36),
            "ship",
            "less than the 1 % asked for is possible",
            smallest_effect_pct=1,
        ),
        case(
            "ties",
            listeners(
                draw=lambda g, mean, n: g.binomial(2, mean, n).astype(np.float64) + 1,
                C=0.5,
                T1=0.7,
            ),
            "ship",
        ),
        case(
            "fewer skips",
            listeners(
                draw=lambda g, mean, n: (g.random(n) < mean).astype(np.float64),
                C=0.5,
                T1=0.3,
            ),
            "ship",
            metrics={"minutes": "lower"},
        ),
        case(
            "one of five arms",
            listeners(C=30, T1=30, T2=30, T3=39, T4=30),
            "ship",
            "Ship T3.",
            "which may be chance; against T3:",
        ),
        case(
            "an unclear guardrail",
            beside(listeners(C=30, T1=39), visits=visits(C=20, T1=18)),
            "wait",
            "is unclear: it may fall by at most 10 %",
            **LIMITED,
        ),
        case(
            "a guardrail that has not moved",
            beside(listeners(C=30, T1=39), visits=lambda _g, _f: 1),
            "wait",
            "but 'Visits', the same for all listeners so far, is not yet known: it may fall",
            **LIMITED,
        ),
        case(
            "novelty",
            by_day(14, T1=lambda day: 50 * (day < 3)),
            "wait",
            "falls with the experiment's days: +",
            "in the later half (p < 0.0001), which decides.",
        ),
        case(
            "novelty, and a gain that stays",
            by_day(14, T1=lambda day: 50 if day < 3 else 20),
            "ship",
            "falls with the experiment's days: +",
            "plan with +1",
        ),
        case("a slow start", by_day(14, T1=lambda day: 20 * (day > 6)), "ship", "+10"),
        case(
            "weekends", by_day(21, T1=lambda day: 15 + 5 * (day % 7 > 4)), "ship", "+16"
        ),
        case(
            "novelty to each listener",
            log(lambda arm, _, age: 0.5 + 0.2 * (arm == "T1" and age < 2), stays=9),
            "wait",
            "falls with a listener's days: +",
        ),
        case(
            "novelty to those who came first",
            log(lambda arm, day, _: 0.5 + 0.2 * (arm == "T1" and day < 3)),
            "wait",
            "falls with the experiment's days: +",
        ),
        case(
            "shares that change with the days",
            log(
                lambda arm, day, _: 0.7 - 0.4 * (day > 5) + 0.05 * (arm == "T1"),
                daily=lambda arm, day: 80 if (arm == "C") == (day < 6) else 20,
            ),
            "ship",
            "T1 is better than C: 'Listening time per session, mean of the listeners' means' +",
        ),
        case(
            "a past that says nothing",
            log(lambda arm, _day, _age: 0.5 + 0.1 * (arm == "T1"), past=2),
            "ship",
            "T1 is better than C",
            cuped=True,
        ),
        case(
            "a slower arm in its margin",
            log(
                lambda arm, _day, _age: 0.5 + 0.1 * (arm == "T1"),
                latency=lambda arm: 0.03 if arm == "T1" else 0.002,
            ),
            "ship",
            "though '99th percentile of latency' +30",
            guardrails=[{"metric": "latency_p99", "margin": 50}],
        ),
    ],
)
def test_a_simulated_experiment_has_its_verdict(
    name: str,
    rows: Rows,
    decision: str,
    sentences: tuple[str, ...],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    data = rows(make_generator(59, "situations", sum(name.encode())))
    if isinstance(data, list):
        defaults = {"min_listeners": 100, "guardrails": []}
        config = AbConfig.model_validate(defaults | options)
        report = build_report([write(tmp_path / "a.jsonl", data)], "ALS", config)
    else:
        report = ll.ab(data, **({"metrics": ["minutes"]} | options)).report
    text = " ".join([words.summary(report), *words.warnings(report)])
    text = text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace(numbers.MINUS, "-")
    assert report.verdict.decision == decision, text
    for sentence in sentences:
        assert sentence in text
