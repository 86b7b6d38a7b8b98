"""What metrics sum up of a listener, against a walk over the events in plain Python."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from analysis.ab.config import AbConfig
from analysis.ab.events import assign_arms, read_events
from analysis.ab.listeners import measure, open_values
from analysis.ab.metrics import METRICS
from tests.analysis.ab.logs import START_MS, experiment, write

SKIP_BELOW = 0.1
# of each metric the sum that is its numerator, and the one that is its denominator
SUMS = {
    "time": ("time",),
    "sessions": ("sessions",),
    "mean_request_latency": ("logged_latency_ms", "logged_requests"),
    "mean_tracks_per_session": ("tracks", "sessions"),
    "tracks_per_session": ("tracks", "sessions"),
    "mean_time_per_session": ("time", "sessions"),
    "time_per_session": ("time", "sessions"),
    "time_per_recommended_track": ("recommended_time", "recommended_tracks"),
    "returns": ("returns",),
    "skip_share": ("skips", "recommended_tracks"),
    "repeat_share": ("repeats", "tracks"),
    "fallback_share": ("fallbacks", "named"),
    "request_latency": ("latency_ms", "requests"),
}
SUMMED = [name for name, metric in METRICS.items() if metric.quantile is None]


def walk(
    events: list[dict[str, Any]],
) -> dict[tuple[int, str | None], dict[str, float]]:
    """Sums of every listener and arm; the own recommender of arm X is "of X"."""
    by_listener: dict[tuple[int, str | None], list[dict[str, Any]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["timestamp"]):
        by_listener[event["user"], event["experiments"].get("ALS")].append(event)
    return {key: totals(rows, key[1]) for key, rows in by_listener.items()}


def totals(events: list[dict[str, Any]], arm: str | None) -> dict[str, float]:
    result: dict[str, float] = defaultdict(float)
    session: list[dict[str, Any]] = []
    for event in events:
        session.append(event)
        if event["message"] == "last":
            add_session(result, session, arm)
            session = []
    result["returns"] = result["sessions"] - 1
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


def values_of(
    log: Path, config: AbConfig, **recommenders: str
) -> dict[str, list[dict[str, Any]]]:
    """The values of a log's listeners by metric, but for segments."""
    with read_events([log]) as events:
        arms = assign_arms(events, "ALS")
        answering = {arm: row["own"] for arm, row in arms.items()}
        measure(events, config, answering | recommenders, START_MS)
        return {
            metric.name: open_values(events, metric.name)
            .filter("segment = ''")
            .to_arrow_table()
            .to_pylist()
            for metric in config.reported
            if metric.quantile is None
        }


def test_sums_of_listeners_are_what_a_walk_over_their_events_gives(
    tmp_path: Path,
) -> None:
    events = experiment(30, past=3, days=6)
    for event in events[::7]:
        event["latency"] *= -1  # a clock was set back
    for event in events:
        event["track"] %= 5  # so that tracks are heard again
        event["user"] += 2**60  # no float distinguishes these ids
    expected = walk(events)
    config = AbConfig(secondary=tuple(SUMMED))
    values = values_of(write(tmp_path / "a.jsonl", events), config)
    assert SUMS.keys() == values.keys() == set(SUMMED)
    for metric, sums in SUMS.items():
        rows = values[metric]
        assert {(row["user"], row["arm"]) for row in rows} == {
            (user, arm) for user, arm in expected if arm
        }
        assert sum(row["numerator"] for row in rows)
        for row in rows:
            in_arm = [expected[row["user"], row["arm"]][name] for name in sums]
            past = [expected[row["user"], None][name] for name in sums]
            if METRICS[metric].kind == "mean of ratios":
                in_arm = [in_arm[0] / in_arm[1], 1]
            in_arm, past = [*in_arm, 1][:2], [*past, 1][:2]
            assert [row["numerator"], row["denominator"]] == pytest.approx(in_arm)
            if METRICS[metric].has_past:
                assert [row["past_numerator"], row["past_denominator"]] == (
                    pytest.approx(past)
                )


def test_a_configured_recommender_is_the_arms_own(tmp_path: Path) -> None:
    events = experiment(10)
    log = write(tmp_path / "a.jsonl", events)
    rows = values_of(log, AbConfig(), T1="fallback")["fallback_share"]
    fallbacks = sum(row["numerator"] for row in rows if row["arm"] == "T1")
    answered = [
        event["recommender"]
        for event in events
        if event["experiments"].get("ALS") == "T1"
    ]
    assert fallbacks == answered.count("of T1")
