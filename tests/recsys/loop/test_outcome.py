"""The outcome of the days: tables, and whether what learns from day to day grew."""

import io
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from analysis.offpolicy.report import Prediction
from analysis.statistics.effects import Interval
from looplib.files import atomic_write_json
from recsys.loop.config import DayPaths, Paths
from recsys.loop.outcome import METRIC, growth_of, print_outcomes, read_outcome


def write_day(folder: Path, day: int, effect_pct: float, spread_pct: float) -> DayPaths:
    """A day whose arm T1 had such an effect, its interval symmetric about the logarithm of the ratio."""
    made = DayPaths(Paths(folder), day)
    ratio, factor = 1 + effect_pct / 100, 1 + spread_pct / 100
    relative = {
        "effect_pct": effect_pct,
        "lower_pct": 100 * (ratio / factor - 1),
        "upper_pct": 100 * (ratio * factor - 1),
    }
    effect = {"arm": "T1", "metric": METRIC, "control_value": 2.0, "arm_value": 2 * ratio, "relative": relative}
    report = {
        "control": "C",
        "listeners": {"C": 100, "T1": 101},
        "effects": [effect, effect | {"metric": "time"}],
        "verdict": {"decision": "ship", "reason": "why not"},
    }
    made.report.mkdir(parents=True)
    made.report_json.write_bytes(orjson.dumps(report))
    prediction = Prediction("T1", Interval(0.3, 0.2, 0.35), Interval(0.4, 0.38, 0.42), error_pct=-25.0, agrees=False)
    atomic_write_json(made.predictions, {"predictions": [prediction]})
    return made


@pytest.mark.parametrize(
    ("last_pct", "spread_pct", "words"),
    [(200, 10, "grew"), (20, 10, "shrank"), (110, 10, "did not change for certain"), (200, 80, "did not change")],
)
def test_the_days_end_with_a_table_and_whether_what_learns_grew(
    tmp_path: Path, last_pct: float, spread_pct: float, words: str
) -> None:
    names = {"C": "random", "T1": "session_context"}
    days = [write_day(tmp_path, 1, 100, spread_pct), write_day(tmp_path, 2, last_pct, spread_pct)]
    outcomes = [read_outcome(day, names) for day in days]
    page = io.StringIO()
    print_outcomes(outcomes, Console(file=page, width=150))
    text = page.getvalue()
    assert f"T1 (session_context): listening time relative to the control {words}" in text
    assert f"+{last_pct}\N{NARROW NO-BREAK SPACE}%" in text
    assert "0.3000 (0.2000 … 0.3500)" in text
    growth = growth_of(outcomes)["T1"]
    error = np.sqrt(2) * np.log1p(spread_pct / 100)
    assert growth.value == pytest.approx((1 + last_pct / 100) / 2)
    assert np.log([growth.lower, growth.upper]) == pytest.approx(np.log(growth.value) + np.array([-error, error]))


def test_one_day_and_arms_that_do_not_learn_say_nothing_of_growth(tmp_path: Path) -> None:
    days = [write_day(tmp_path, 1, 100, 5), write_day(tmp_path, 2, 300, 5)]
    names = {"C": "random", "T1": "sticky_artist"}
    assert growth_of([read_outcome(day, names) for day in days]) == {}
    assert growth_of([read_outcome(days[0], {"C": "random", "T1": "indexed"})]) == {}
