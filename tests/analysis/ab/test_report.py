"""What a report says of logs that are good, bad, mixed, or not about the experiment at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from analysis.ab import words
from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.report import Report, build_report
from looplib.experiments import Experiment, Guardrail
from recsys.ingest.pipeline import ingest
from tests.analysis.ab.logs import DAY_MS, START_MS, event, experiment, write

# every listener has a session a day, so `returns` is no guardrail that could move
CONFIG = AbConfig(
    min_listeners=20,
    min_days=1,
    confirm=False,
    expected_listeners=60,
    guardrails=(Guardrail(metric="time", margin_pct=10),),
)


@pytest.fixture(scope="module")
def report(log: Path) -> Report:
    return build_report([log], "ALS", CONFIG)


def test_the_past_is_taken_out_of_what_decides_where_that_was_declared(
    tmp_path: Path,
) -> None:
    log = write(tmp_path / "a.jsonl", experiment(80, past=12, days=6))
    declared = CONFIG.model_copy(update={"cuped": True})
    plain, adjusted = (
        build_report([log], "ALS", config).evidence.effect(
            "T1", "time_per_recommended_track"
        )
        for config in (CONFIG, declared)
    )
    assert plain.past_explains == adjusted.past_explains
    assert plain.past_explains > 0.2
    before, after = plain.relative, adjusted.relative
    adjusted_width = after.upper - after.lower
    assert 0 < adjusted_width < before.upper - before.lower


def test_a_listener_without_a_closed_session_counts_everywhere(tmp_path: Path) -> None:
    config = AbConfig(primary=("time",), min_listeners=20)
    log = write(
        tmp_path / "a.jsonl",
        [*experiment(), event(900, START_MS + 5), event(901, START_MS + 6)],
    )
    found = build_report([log], "ALS", config)
    assert found.evidence.listeners == {"C": 32, "T1": 30}


def test_a_decision_on_a_log_counts_when_that_of_a_day_before_was_the_same(
    tmp_path: Path,
) -> None:
    config = CONFIG.model_copy(update={"confirm": True, "min_days": 7})
    steady = experiment(120, effect=0.2, days=8)
    sudden = [
        one | {"time": 1.0}
        if one["timestamp"] >= START_MS + 7 * DAY_MS
        and one["experiments"]["ALS"] == "T1"
        else one
        for one in experiment(120, days=8)
    ]
    for events, decision in ((steady, "ship"), (sudden, "wait")):
        log = write(tmp_path / decision / "a.jsonl", events)
        verdict = build_report([log], "ALS", config).verdict
        assert (verdict.decision, verdict.arm) == (decision, "T1")
    assert verdict.reason == "unconfirmed"


def test_the_effect_by_day_is_that_of_a_report_on_the_log_until_its_end(
    log: Path, tmp_path: Path, report: Report
) -> None:
    days = {row.day: row for row in report.evidence.by_day}
    assert [*days] == [f"2026-01-0{day}" for day in (1, 2, 3, 4)]
    for number, row in enumerate(days.values(), start=1):
        events = [
            event
            for event in map(json.loads, log.read_text().splitlines())
            if event["timestamp"] < START_MS + number * DAY_MS
        ]
        until = build_report([write(tmp_path / "a.jsonl", events)], "ALS", CONFIG)
        assert replace(row, day="") == replace(
            until.evidence.effects[0], past_explains=row.past_explains
        )


@pytest.mark.parametrize("days", [-4000, 4000])
def test_an_event_of_a_wrong_clock_makes_no_experiment_longer(
    tmp_path: Path, days: int
) -> None:
    alone = event(901, START_MS + days * DAY_MS, "last")
    log = write(tmp_path / "a.jsonl", [*experiment(120, effect=0.2, days=3), alone])
    config = CONFIG.model_copy(update={"min_days": 7})
    report = build_report([log], "ALS", config)
    assert words.reason(report) == "It is on day 3, and 7 days are asked for."
    assert report.evidence.left_out == 1


def test_a_gain_that_falls_with_time_is_decided_by_its_later_half(
    tmp_path: Path,
) -> None:
    begun, over = (experiment(200, effect=effect, days=8) for effect in (0.3, 0.05))
    third_day = START_MS + 2 * DAY_MS
    fading = [
        first if first["timestamp"] < third_day else later
        for first, later in zip(begun, over, strict=True)
    ]
    sentences = []
    decisions = {"fading": "wait", "steady": "ship"}
    for (name, decision), events in zip(
        decisions.items(), (fading, begun), strict=True
    ):
        report = build_report([write(tmp_path / name, events)], "ALS", CONFIG)
        assert report.verdict.decision == decision
        sentences.append(words.reason(report))
    assert "falls with the experiment's days: +44.4" in sentences[0]
    assert "falls" not in sentences[1]


def without_source(report: Report) -> bytes:
    return orjson.dumps(replace(report, sources=()).to_json())


def test_a_store_and_its_logs_give_the_same_report(tmp_path: Path) -> None:
    events = experiment(effect=0.1, past=2)
    # a clock that was set back, and one that is absurd
    events[3]["latency"], events[5]["latency"] = -0.5, 3e6
    logs = [
        write(
            tmp_path / "logs" / "a.jsonl", events[::2], more=b'\n{"message":"next"}\n'
        ),
        write(
            tmp_path / "logs" / "b.jsonl", events[1::2], more=b'garbage\n{"message":'
        ),
    ]
    ingest(logs, tmp_path / "store", partitions=4)
    of_logs, of_store = (
        build_report([tmp_path / name], "ALS", CONFIG) for name in ("logs", "store")
    )
    assert without_source(of_store) == without_source(of_logs)
    assert of_store.evidence.lines.rejected == 3
    assert len(of_store.evidence.rejected) == 3


@pytest.mark.parametrize(
    ("log_id", "file_id"), [(int, str), (str, int), ("u{}".format, "u{}".format)]
)
def test_testers_are_left_out(
    tmp_path: Path, log_id: Callable[[int], Any], file_id: Callable[[int], Any]
) -> None:
    events = experiment()
    testers = {file_id(row["user"]): "C" for row in events[::50]}
    events = [{**row, "user": log_id(row["user"])} for row in events]
    arms = [{"recommender": "random"}] * 2
    plan = Experiment.model_validate(
        {"name": "ALS", "arms": arms, "overrides": testers}
    )
    log = write(tmp_path / "a.jsonl", events)
    ingest([log], tmp_path / "store", partitions=1)
    for path in (log, tmp_path / "store"):
        report = build_report([path], "ALS", CONFIG, plan)
        assert sum(report.evidence.listeners.values()) == 60 - len(testers)


@pytest.mark.parametrize(
    ("days", "renamed", "arm", "absent"),
    [
        (
            (2, 3),
            True,
            "B (of T1)",
            "2026-01-01 to 2026-01-02",
        ),
        (
            (0, 1),
            False,
            "T1 (of T1)",
            "2026-01-01 to 2026-01-02",
        ),
        (
            (1,),
            False,
            "T1 (of T1)",
            "2026-01-02",
        ),
    ],
    ids=["renamed", "late", "paused"],
)
def test_an_arm_without_listeners_on_days_of_others_is_named(
    tmp_path: Path, days: tuple[int, ...], renamed: bool, arm: str, absent: str
) -> None:
    events = []
    for row in experiment(200, days=4):
        if row["user"] % 2 and (row["timestamp"] - START_MS) // DAY_MS in days:
            if not renamed:
                continue
            # other listeners, so that nobody is in two arms
            row |= {"experiments": {"ALS": "B"}, "user": row["user"] + 1000}
        events.append(row)
    report = build_report([write(tmp_path / "a.jsonl", events)], "ALS", CONFIG)
    assert report.verdict.decision == "do not trust"
    said = f"{arm} has no listeners on days on which other arms have ({absent});"
    assert said in words.reason(report)


def test_what_the_events_say_against_themselves_is_counted(tmp_path: Path) -> None:
    odd = [
        event(900, START_MS, track=1, recommendation=2, session="a"),
        event(900, START_MS + 5, track=2, recommendation=3, session="a"),
        event(900, START_MS + 5, track=2, recommendation=3, session="a"),
        event(900, START_MS + 7, track=3, recommendation=4, session="a"),
        event(
            900, START_MS + 9, track=7, recommendation=8, session="a"
        ),  # comes before its cause
        event(900, START_MS + 10, track=9, recommendation=7, session="a"),
        event(900, START_MS + 20, "last", track=7, session="a"),
        # never closed; and a clock that was set back
        event(900, START_MS + 30, track=4, recommendation=5, session="b", latency=-0.5),
    ]
    meeting = [  # in one millisecond, and in order
        event(901, START_MS, track=1, recommendation=2, session="c"),
        event(901, START_MS + 5, "last", track=2, session="c"),
        # stands before the 'last'
        event(901, START_MS + 5, track=4, recommendation=5, session="d"),
        event(901, START_MS + 9, "last", track=5, session="d"),
    ]
    found = build_report(
        [write(tmp_path / "a.jsonl", [*experiment(), *odd, *meeting])], "ALS", CONFIG
    )
    quality = found.evidence.quality

    assert quality.broken_chains == 2
    assert quality.dropped_events == quality.negative_latencies == 1


def test_what_is_later_than_the_horizon_is_left_out(log: Path, tmp_path: Path) -> None:
    early = [
        one
        for one in experiment(effect=0.2, past=3)
        if one["timestamp"] < START_MS + DAY_MS
    ]
    cut = build_report([write(tmp_path / "a.jsonl", early)], "ALS", CONFIG)
    horizon = FixedHorizon(listeners=60, interim_analyses=1)
    found = build_report(
        [log], "ALS", CONFIG.model_copy(update={"fixed_horizon": horizon})
    )
    assert found.evidence.is_final
    assert found.evidence.dates[1] == "2026-01-01"
    assert any("after the fixed horizon" in text for text in words.warnings(found))
    assert words.validity(found) == "at the fixed horizon, 60 listeners"
    assert [row.arm_value for row in found.evidence.by_day] == [
        row.arm_value for row in cut.evidence.by_day
    ]
    assert found.evidence.listeners == cut.evidence.listeners
