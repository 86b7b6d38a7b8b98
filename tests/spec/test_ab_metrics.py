"""What metrics sum up of a listener, against a walk over the events in plain Python."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import assign_arms, read_events
from analysis.ab.listeners import measure, open_listeners
from analysis.ab.metrics import METRICS
from analysis.ab.moments import PAST, RATIO, MetricMoments, read_moments
from tests.analysis.ab.logs import START_MS, experiment, write

SKIP_BELOW = 0.3
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


def listeners_of(
    log: Path, config: AbConfig, **recommenders: str
) -> list[dict[str, Any]]:
    """The table of listeners of a log, but for segments."""
    with read_events([log]) as events:
        arms = assign_arms(events, "ALS")
        answering = {arm: row["own"] for arm, row in arms.items()}
        measure(events, config, answering | recommenders, START_MS)
        rows: list[dict[str, Any]] = open_listeners(events).to_arrow_table().to_pylist()
    return [row for row in rows if not row["segment"]]


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
    config = AbConfig(skip_below=SKIP_BELOW, secondary=tuple(SUMMED))
    rows = listeners_of(write(tmp_path / "a.jsonl", events), config)
    assert {(row["user"], row["arm"]) for row in rows} == {
        (user, arm) for user, arm in expected if arm
    }
    assert SUMS.keys() == set(SUMMED)
    for row in rows:
        in_arm = expected[row["user"], row["arm"]]
        past = expected[row["user"], None]
        for metric, sums in SUMS.items():
            for part, name in zip(("numerator", "denominator"), sums, strict=False):
                assert row[f"{metric}_{part}"] == pytest.approx(in_arm[name])
                if name != "fallbacks":  # there is no arm whose own it could be
                    found = row[f"past_{metric}_{part}"]
                    assert found == pytest.approx(past[name])
    assert all(
        sum(row[f"{metric}_numerator"] for row in rows)
        for metric in ("repeat_share", "fallback_share", "skip_share")
    )


def test_a_configured_recommender_is_the_arms_own(tmp_path: Path) -> None:
    events = experiment(10)
    log = write(tmp_path / "a.jsonl", events)
    rows = listeners_of(log, AbConfig(), T1="fallback")
    fallbacks = sum(
        row["fallback_share_numerator"] for row in rows if row["arm"] == "T1"
    )
    answered = [
        event["recommender"]
        for event in events
        if event["experiments"].get("ALS") == "T1"
    ]
    assert fallbacks == answered.count("of T1")


def moments_of(metric: str, values: np.ndarray) -> MetricMoments:
    """Moments of rows of a numerator and a denominator, in the arm and in the past."""
    names = [f"{prefix}{metric}_{part}" for prefix in ("", "past_") for part in PARTS]
    columns = dict(zip(names, np.tile(values, 2).T, strict=True))
    with queries.connect(threads=1) as connection:
        rows = connection.from_arrow(
            pa.table(
                {"arm": ["C"] * len(values), "segment": [""] * len(values), **columns}
            )
        )
        (found,) = read_moments(rows, [METRICS[metric]], [metric])
    return found


PARTS = ("numerator", "denominator")
VALUES = np.array([[4.0, 2.0], [0.0, 0.0], [1.0, 2.0]])


def test_a_mean_is_over_all_listeners() -> None:
    found = moments_of("time", VALUES)
    assert found.moments.mean(RATIO) == found.moments.mean(PAST) == pytest.approx(5 / 3)
    assert found.skewness == pytest.approx(stats.skew([4, 0, 1]))


def test_a_mean_of_ratios_is_over_the_listeners_who_have_one() -> None:
    found = moments_of("mean_time_per_session", VALUES)
    assert (found.listeners, found.moments.count) == (3, 2)
    assert found.moments.mean(RATIO) == pytest.approx(5 / 4)
    # listeners without one have the mean
    assert found.skewness == pytest.approx(stats.skew([2, 5 / 4, 0.5]))


def test_a_ratio_is_of_the_sums_of_all_listeners_and_so_is_that_of_the_past() -> None:
    for metric in ("time_per_session", "mean_time_per_session"):
        assert moments_of(metric, VALUES).moments.mean(PAST) == pytest.approx(5 / 4)
    generator = np.random.default_rng(3)
    values = generator.lognormal(size=(50, 2))
    found = moments_of("time_per_session", values)
    ratio = values[:, 0].sum() / values[:, 1].sum()
    shares = (values[:, 0] - ratio * values[:, 1]) / values[:, 1].mean()
    assert found.moments.mean(RATIO) == pytest.approx(ratio)
    assert found.moments.variance(RATIO) == pytest.approx(shares.var(ddof=1))
    assert found.skewness == pytest.approx(stats.skew(shares))
