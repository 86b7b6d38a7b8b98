"""What the columns of a listener mean, against a walk over the events in plain Python."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.ab.config import AbConfig
from analysis.ab.measures import check_files, measure, read_listeners, read_rows
from analysis.ab.metrics import METRICS
from analysis.ab.tables import load
from analysis.errors import AnalysisError
from tests.analysis.ab.logs import experiment, write

SKIP_BELOW = 0.3


def walk(events: list[dict[str, Any]]) -> dict[tuple[int, str], dict[str, float]]:
    """Columns of every listener and arm; the own recommender of arm X is "of X"."""
    by_listener: dict[tuple[int, str | None], list[dict[str, Any]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["timestamp"]):
        by_listener[event["user"], event["experiments"].get("ALS")].append(event)
    found = {key: totals(of_one, key[1]) for key, of_one in by_listener.items()}
    return {
        (user, arm): of_one
        | {f"past_{name}": value for name, value in found.get((user, None), {}).items()}
        for (user, arm), of_one in found.items()
        if arm is not None
    }


def totals(events: list[dict[str, Any]], arm: str | None) -> dict[str, float]:
    result: dict[str, float] = defaultdict(float)
    session: list[dict[str, Any]] = []
    for event in events:
        session.append(event)
        if event["message"] == "last":
            add_session(result, session, arm)
            session = []
    return result


def add_session(
    result: dict[str, float], session: list[dict[str, Any]], arm: str | None
) -> None:
    _, *recommended = session
    named = [
        event
        for event in session
        if event["message"] == "next" and event["recommender"]
    ]
    result["sessions"] += 1
    result["tracks"] += len(session)
    result["time"] += sum(event["time"] for event in session)
    result["recommended_tracks"] += len(recommended)
    result["recommended_time"] += sum(event["time"] for event in recommended)
    result["skips"] += sum(event["time"] < SKIP_BELOW for event in recommended)
    result["repeats"] += len(session) - len({event["track"] for event in session})
    latencies = [1000 * event["latency"] for event in session]
    result["logged_requests"] += len(latencies)
    result["logged_latency_ms"] += sum(latencies)
    result["requests"] += sum(latency >= 0 for latency in latencies)
    result["latency_ms"] += sum(latency for latency in latencies if latency >= 0)
    result["named"] += len(named)
    result["fallbacks"] += sum(event["recommender"] != f"of {arm}" for event in named)


def test_columns_of_listeners_are_what_a_walk_over_their_events_gives(
    tmp_path: Path,
) -> None:
    events = experiment(30, past=3, days=6)
    for event in events[::7]:
        event["latency"] *= -1  # a clock was set back
    for event in events:
        event["track"] %= 5  # so that tracks are heard again
        event["user"] += 2**60  # no float distinguishes these ids
    expected = walk(events)
    with load([write(tmp_path / "a.jsonl", events)], "ALS") as loaded:
        measure(loaded, AbConfig(skip_below=SKIP_BELOW))
        columns = {arm: read_listeners(loaded.connection, arm) for arm in loaded.arms}
        users = {
            arm: read_rows(loaded.connection, "listener_sums", "whole", arm, arm)[
                "user"
            ]
            for arm in columns
        }
    assert {
        (user, arm) for arm in columns for user in users[arm].to_pylist()
    } == expected.keys()
    for arm, of_arm in columns.items():
        for row, user in enumerate(users[arm].to_pylist()):
            # there is no arm whose own recommender it could be
            names = of_arm.keys() - {"past_fallbacks"}
            walked = {name: expected[user, arm].get(name, 0) for name in names}
            assert {name: of_arm[name][row] for name in names} == pytest.approx(walked)
        assert {"repeats", "fallbacks", "past_repeats"} <= {
            name for name, values in of_arm.items() if values.sum()
        }


COLUMNS = {name: np.array([4.0, 0.0, 1.0]) for name in ("time", "past_time")}
COLUMNS |= {name: np.array([2.0, 0.0, 2.0]) for name in ("sessions", "past_sessions")}


def test_a_mean_is_over_all_listeners() -> None:
    metric = METRICS["time"]
    assert metric.values(COLUMNS).tolist() == [4, 0, 1]
    assert metric.moments(COLUMNS).mean(metric.quantity) == pytest.approx(5 / 3)


def test_a_mean_of_ratios_is_over_the_listeners_who_have_one() -> None:
    metric = METRICS["mean_time_per_session"]
    assert metric.values(COLUMNS)[[0, 2]].tolist() == [2, 0.5]
    assert metric.moments(COLUMNS).count == 2
    assert metric.moments(COLUMNS).mean(metric.quantity) == pytest.approx(5 / 4)


def test_a_ratio_is_of_the_sums_of_all_listeners_and_so_is_that_of_the_past() -> None:
    for metric in (METRICS["time_per_session"], METRICS["mean_time_per_session"]):
        assert metric.past is not None
        assert metric.moments(COLUMNS).mean(metric.past) == pytest.approx(5 / 4)
    metric = METRICS["time_per_session"]
    assert metric.moments(COLUMNS).mean(metric.quantity) == pytest.approx(5 / 4)


def test_every_metric_is_made_of_columns_that_its_file_has() -> None:
    summed = tuple(name for name, metric in METRICS.items() if metric.quantile is None)
    quantiles = tuple(METRICS.keys() - summed)
    check_files(AbConfig(primary=summed, guardrails=(), secondary=quantiles))
    wrong = {
        "label": "wrong",
        "sql": "ab/listener_sums",
        "numerator": "times",
    }
    with pytest.raises(
        AnalysisError,
        match=r'metric wrong: ab/listener_sums: .*"times" not found',
    ):
        check_files(
            AbConfig.model_validate(
                {"metrics": {"wrong": wrong}, "secondary": ["wrong"]}
            )
        )


def test_a_configured_recommender_is_the_arms_own(tmp_path: Path) -> None:
    events = experiment(10)
    with load([write(tmp_path / "a.jsonl", events)], "ALS") as loaded:
        measure(loaded, AbConfig(recommenders={"T1": "fallback"}))
        columns = read_listeners(loaded.connection, "T1")
    answered = [
        event["recommender"]
        for event in events
        if event["experiments"].get("ALS") == "T1"
    ]
    assert columns["fallbacks"].sum() == answered.count("of T1")
