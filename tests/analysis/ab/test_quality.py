"""Data that cannot be trusted, by arm and day, and effects that must not be taken for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.ab import words
from analysis.ab.config import AbConfig
from analysis.ab.quality import find_daily_ratios
from analysis.ab.report import Report, build_report
from analysis.page.numbers import MINUS
from looplib.randomness import make_generator
from tests.analysis.ab.logs import DAY_MS, START_MS, experiment, write

Row = dict[str, Any]
CONFIG = AbConfig(
    primary=("time_per_recommended_track",),
    secondary=(),
    guardrails=(),
    min_listeners=50,
    min_days=1,
    confirm=False,
)
EVENTS = experiment(240, days=6, past=2)
THIRD_DAY_MS = START_MS + 2 * DAY_MS


def change(
    rows: list[Row], arm: str, edit: Callable[[Row], list[Row]], since: int = 2
) -> list[Row]:
    """Replace the events of an arm since a day, the first being 0."""
    return [
        changed
        for row in rows
        for changed in (
            edit(row)
            if row["experiments"].get("ALS") == arm
            and row["timestamp"] >= START_MS + since * DAY_MS
            else [row]
        )
    ]


def losing(row: Row) -> list[Row]:
    generator = make_generator(1, "loss", row["user"], row["timestamp"])
    return [] if generator.random() < 0.3 else [row]


def report_of(events: list[Row], folder: Path) -> Report:
    return build_report([write(folder / "a.jsonl", events)], "ALS", CONFIG)


def plain(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace(MINUS, "-")


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        pytest.param(
            change(EVENTS, "C", losing),
            "C (of C) has broken chains since 2026-01-03: 19.8 % of its tracks are not the track "
            "recommended just before, 0.0 % in other arms;",
            id="lost events",
        ),
        pytest.param(
            change(EVENTS, "T1", losing, since=0),
            "T1 (of T1) has broken chains since 2026-01-01: 2",
            id="lost from the start",
        ),
        pytest.param(
            change(EVENTS, "C", lambda row: [] if row["message"] == "last" else [row]),
            # the next session shows it
            "of the sessions of C (of C) have no `last` since 2026-01-04, 0.0 % in other arms.",
            id="no last",
        ),
        pytest.param(
            change(EVENTS, "C", lambda row: [row | {"time": 0.0}]),
            "100.0 % of the tracks of C (of C) have a listening time of 0 since 2026-01-03, ",
            id="time is 0",
        ),
        pytest.param(
            change(EVENTS, "T1", lambda row: [row | {"time": 0.0}]),
            "100.0 % of the tracks of T1 (of T1) have a listening time of 0 since 2026-01-03, ",
            id="time of an arm is 0",
        ),
        pytest.param(
            change(EVENTS, "C", lambda row: [row | {"time": 0.5 * row["time"]}]),
            "Listening time of a track of C (of C) changed by -",
            id="a lower level",
        ),
        pytest.param(
            change(EVENTS, "T1", lambda row: [row, row], since=0),
            "50.0 % of the events of T1 (of T1) are there twice (2026-01-01 to 2026-01-06);",
            id="doubled events",
        ),
        pytest.param(
            [
                row | {"time": min(1.0, 1.4 * row["time"])}
                if row["user"] % 2 and row["timestamp"] < START_MS
                else row
                for row in EVENTS
            ],
            "T1 (of T1) differed from the control before the experiment: 'Listening time of a "
            "recommended track' by +",
            id="better before",
        ),
    ],
)
def test_broken_data_is_named_by_arm_and_day(
    events: list[Row], sentence: str, tmp_path: Path
) -> None:
    report = report_of(events, tmp_path)
    assert report.verdict.decision == "do not trust"
    assert sentence in plain(words.reason(report))


@pytest.mark.parametrize(
    ("first", "later"), [(0.0, 0.0), (0.3, 0.3), (0.4, 0.0), (0.0, -0.2), (0.0, 0.3)]
)
def test_an_effect_is_no_fault_whenever_it_begins_or_fades(
    first: float, later: float, tmp_path: Path
) -> None:
    begun, over = (
        experiment(240, effect=effect, days=6, past=2) for effect in (first, later)
    )
    events = [
        early if early["timestamp"] < THIRD_DAY_MS else late
        for early, late in zip(begun, over, strict=True)
    ]
    report = report_of(events, tmp_path)
    assert report.verdict.decision != "do not trust", words.reason(report)
    assert not report.evidence.findings
    assert not report.evidence.cautions


def test_a_changed_recommender_is_said_with_both_periods(tmp_path: Path) -> None:
    events = change(EVENTS, "T1", lambda row: [row | {"recommender": "of T2"}], since=3)
    report = report_of(events, tmp_path)
    assert report.verdict.decision != "do not trust"
    sentence = (
        "T1 changed its recommender: of T1 until 2026-01-03, of T2 since 2026-01-04; its effect "
        "mixes both."
    )
    assert sentence in words.warnings(report)


def test_a_day_with_another_sample_ratio_is_named() -> None:
    new = {"C": [150, 140, 200, 150], "T1": [150, 160, 100, 150]}
    dates = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")
    (finding,) = find_daily_ratios(new, dates, {})
    assert (finding.days, finding.detail) == (("2026-01-03",), "C 200, T1 100")
    assert not [*find_daily_ratios(new, dates, {"C": 3, "T1": 2.3})][1:]
