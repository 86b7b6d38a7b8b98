"""The outcome of a day: effects over the control and the best simple arm."""

import io
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from listening_loop.outcome import METRIC, print_outcome, read_outcome
from looplib.files import atomic_write_json
from tests.recsys.logs import Session, events_of

# by arm and listener
TIMES = {
    "C": [0.2, 0.4, 0.6, 0.4],
    "T1": [0.9, 0.8, 0.7, 0.9],
    "T2": [0.5, 0.6, 0.7, 0.6],
}


def write_day(folder: Path, effect_pct: float, spread_pct: float) -> Path:
    """Write a day whose arms had such an effect."""
    ratio, factor = 1 + effect_pct / 100, 1 + spread_pct / 100
    ends = {
        "lower_pct": 100 * (ratio / factor - 1),
        "upper_pct": 100 * (ratio * factor - 1),
    }
    effect = {
        "metric": METRIC,
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
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.json").write_bytes(orjson.dumps(report))
    atomic_write_json(folder / "predictions.json", {"predictions": [{"arm": "T1"}]})
    sessions = [
        event | {"experiments": {"E": arm}}
        for number, (arm, times) in enumerate(TIMES.items())
        for listener, time in enumerate(times)
        for event in events_of(Session(10 * number + listener, 10**12, [(1, time)]))
    ]
    (folder / "log").mkdir()
    (folder / "log" / "events-1.jsonl").write_bytes(
        b"".join(orjson.dumps(event) + b"\n" for event in sessions)
    )
    return folder


def test_a_day_ends_with_its_verdict_and_a_table_of_arms(tmp_path: Path) -> None:
    outcome = read_outcome(1, write_day(tmp_path / "1", 20, 10))
    page = io.StringIO()
    print_outcome(outcome, Console(file=page, width=150))
    text = page.getvalue()
    assert text.startswith("ship: why not")
    assert "over T2 top_pop, the best simple arm" in text
    assert "+20\N{NARROW NO-BREAK SPACE}%" in text
    assert outcome["predictions"] == [{"arm": "T1"}]


def test_arms_are_compared_with_the_best_of_the_simple_ones(tmp_path: Path) -> None:
    outcome = read_outcome(1, write_day(tmp_path / "1", 100, 5))
    assert outcome["best_simple"] == "T2"
    over = {arm["arm"]: arm["over_simple_pct"] for arm in outcome["arms"]}
    assert over["T2"] is None
    ratio = np.mean(TIMES["T1"]) / np.mean(TIMES["T2"])
    variance = sum(
        np.var(TIMES[arm], ddof=1) / 4 / np.mean(TIMES[arm]) ** 2
        for arm in ("T1", "T2")
    )
    lower = 100 * (ratio * np.exp(-1.96 * np.sqrt(variance)) - 1)
    assert over["T1"]["value"] == pytest.approx(100 * (ratio - 1))
    assert over["T1"]["lower"] < lower < over["T1"]["value"]
