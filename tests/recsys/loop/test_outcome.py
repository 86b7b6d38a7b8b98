"""The outcome of the days: effects over the control and the best simple arm, and whether an arm grew."""

import io
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from analysis.offpolicy.report import Prediction
from analysis.statistics.effects import Interval
from looplib.files import atomic_write_json
from recsys.loop.config import LoopConfig, Paths
from recsys.loop.outcome import METRIC, growth_of, print_outcomes, read_outcome
from tests.recsys.logs import Session, events_of
from tests.recsys.loop.test_days import make_config

# by arm and listener
TIMES = {
    "C": [0.2, 0.4, 0.6, 0.4],
    "T1": [0.9, 0.8, 0.7, 0.9],
    "T2": [0.5, 0.6, 0.7, 0.6],
}


@pytest.fixture
def config(tmp_path: Path) -> LoopConfig:
    return make_config(tmp_path)


def write_day(
    config: LoopConfig, day: int, effect_pct: float, spread_pct: float
) -> Paths:
    """A day whose arms had such an effect, its interval symmetric about the logarithm of the ratio."""
    paths = Paths(config.folder, day)
    ratio, factor = 1 + effect_pct / 100, 1 + spread_pct / 100
    ends = {
        "lower_pct": 100 * (ratio / factor - 1),
        "upper_pct": 100 * (ratio * factor - 1),
    }
    effect = {
        "metric": METRIC.name,
        "control_value": 2.0,
        "relative": {"effect_pct": effect_pct} | ends,
    }
    report = {
        "experiment": "E",
        "control": "C",
        "recommenders": {"C": "random", "T1": "session_model", "T2": "top_pop"},
        "listeners": {"C": 100, "T1": 101, "T2": 102},
        "effects": [
            effect | {"arm": "T1", "arm_value": 4 * ratio},
            effect | {"arm": "T2", "arm_value": 3 * ratio},
            effect | {"arm": "T2", "metric": "time"},
        ],
        "verdict": {"decision": "ship", "reason": "why not"},
    }
    paths.report.mkdir(parents=True)
    paths.report_json.write_bytes(orjson.dumps(report))
    prediction = Prediction(
        "T1",
        Interval(0.3, 0.2, 0.35),
        Interval(0.4, 0.38, 0.42),
        error_pct=-25.0,
        agrees=False,
    )
    atomic_write_json(paths.predictions, {"predictions": [prediction]})
    sessions = [
        event | {"experiments": {"E": arm}}
        for number, (arm, times) in enumerate(TIMES.items())
        for listener, time in enumerate(times)
        for event in events_of(Session(10 * number + listener, 10**12, [(1, time)]))
    ]
    paths.log.mkdir()
    (paths.log / "events-1.jsonl").write_bytes(
        b"".join(orjson.dumps(event) + b"\n" for event in sessions)
    )
    return paths


@pytest.mark.parametrize(
    ("last_pct", "spread_pct", "words"),
    [
        (200, 10, "grew: "),
        (20, 10, "shrank: "),
        (110, 10, "not certain: "),
        (200, 80, "not certain: "),
    ],
)
def test_the_days_end_with_a_table_and_whether_the_lift_grew(
    config: LoopConfig, last_pct: float, spread_pct: float, words: str
) -> None:
    days = [
        write_day(config, 1, 100, spread_pct),
        write_day(config, 2, last_pct, spread_pct),
    ]
    outcomes = [read_outcome(day) for day in days]
    page = io.StringIO()
    print_outcomes(outcomes, Console(file=page, width=150))
    text = page.getvalue()
    assert text.startswith("ship: why not")
    assert words in text
    assert f"+{last_pct}\N{NARROW NO-BREAK SPACE}%" in text
    assert "0.3000 (0.2000 … 0.3500)" in text
    growth = growth_of(outcomes)["T1"]
    error = np.sqrt(2) * np.log1p(spread_pct / 100)
    assert growth.value == pytest.approx((1 + last_pct / 100) / 2)
    assert np.log([growth.lower, growth.upper]) == pytest.approx(
        np.log(growth.value) + np.array([-error, error])
    )
    assert growth_of(outcomes[:1]) == {}


def test_arms_are_compared_with_the_best_of_the_simple_ones(config: LoopConfig) -> None:
    outcome = read_outcome(write_day(config, 1, 100, 5))
    assert outcome.best_simple == "T2"
    over = {arm.arm: arm.over_simple_pct for arm in outcome.arms}
    assert over["T2"] is None
    ratio = np.mean(TIMES["T1"]) / np.mean(TIMES["T2"])
    variance = sum(
        np.var(TIMES[arm], ddof=1) / 4 / np.mean(TIMES[arm]) ** 2
        for arm in ("T1", "T2")
    )
    assert over["T1"] is not None
    assert over["T1"].value == pytest.approx(100 * (ratio - 1))
    assert (
        over["T1"].lower
        < 100 * (ratio * np.exp(-1.96 * np.sqrt(variance)) - 1)
        < over["T1"].value
    )
