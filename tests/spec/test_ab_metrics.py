"""What the columns of a listener mean, against a walk over the events in plain Python."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from analysis import queries
from analysis.ab.metrics import METRICS
from analysis.ab.moments import COLUMNS, columns_of
from analysis.ab.tables import load, tabulate
from tests.analysis.ab.logs import experiment, write

SKIP_BELOW = 0.3


@dataclass
class Walked:
    """A listener's totals over closed sessions."""

    totals: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    past: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def walk(events: list[dict[str, Any]]) -> dict[tuple[int, str], dict[str, float]]:
    """Columns of every listener and arm; the own recommender of arm X is "of X"."""
    by_listener: dict[tuple[int, str | None], list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(events, key=lambda one: one["timestamp"]):
        by_listener[one["user"], one["experiments"].get("ALS")].append(one)
    found = {key: totals(of_one, key[1]) for key, of_one in by_listener.items()}
    return {
        (user, arm): of_one | {f"past_{name}": value for name, value in found.get((user, None), {}).items()}
        for (user, arm), of_one in found.items()
        if arm is not None
    }


def totals(events: list[dict[str, Any]], arm: str | None) -> dict[str, float]:
    result: dict[str, float] = defaultdict(float)
    session: list[dict[str, Any]] = []
    for one in events:
        session.append(one)
        if one["message"] == "last":
            add_session(result, session, arm)
            session = []
    return result


def add_session(result: dict[str, float], session: list[dict[str, Any]], arm: str | None) -> None:
    _, *recommended = session
    named = [one for one in session if one["message"] == "next" and one["recommender"]]
    result["sessions"] += 1
    result["tracks"] += len(session)
    result["time"] += sum(one["time"] for one in session)
    result["recommended_tracks"] += len(recommended)
    result["recommended_time"] += sum(one["time"] for one in recommended)
    result["skips"] += sum(one["time"] < SKIP_BELOW for one in recommended)
    result["repeats"] += len(session) - len({one["track"] for one in session})
    result["requests"] += len(session)
    result["latency_ms"] += sum(1000 * one["latency"] for one in session)
    result["named"] += len(named)
    result["fallbacks"] += sum(one["recommender"] != f"of {arm}" for one in named)


def test_columns_of_listeners_are_what_a_walk_over_their_events_gives(tmp_path: Path) -> None:
    events = experiment(30, past=3, days=6)
    for one in events:
        one["track"] %= 5  # so that tracks are heard again
    expected = walk(events)
    with load([write(tmp_path / "a.jsonl", events)], "ALS") as loaded:
        tables = tabulate(loaded, skip_below=SKIP_BELOW)
        rows = loaded.connection.sql("FROM listeners").to_arrow_table().to_pylist()
        assert tables.own_recommenders == {"C": "of C", "T1": "of T1"}
    assert {(row["user"], row["arm"]) for row in rows} == expected.keys()
    names = [name for name in COLUMNS if not name.startswith("mean_")]
    for row in rows:
        of_one = expected[row["user"], row["arm"]]
        assert {name: row[name] for name in names} == pytest.approx({name: of_one.get(name, 0) for name in names})
    assert sum(row["repeats"] for row in rows) > 0
    assert sum(row["fallbacks"] for row in rows) > 0


def test_moments_number_the_columns_as_the_sql_does() -> None:
    text = queries.statement("ab/moments")
    inside = text[text.index("CAST([") + 6 : text.index("] AS DOUBLE[]")]
    assert tuple(name.strip() for name in inside.split(",")) == COLUMNS


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.method != "quantile"])
def test_every_metric_is_made_of_columns_that_there_are(name: str) -> None:
    assert set(columns_of(METRICS[name])) <= set(COLUMNS)


def test_a_configured_recommender_is_the_arms_own(tmp_path: Path) -> None:
    with load([write(tmp_path / "a.jsonl", experiment(10))], "ALS") as loaded:
        assert tabulate(loaded, skip_below=0.1, recommenders={"T1": "fallback"}).own_recommenders["T1"] == "fallback"
        row = queries.fetch_row(loaded.connection, "ab/quality")
        assert row["events"] == loaded.lines.lines.good
