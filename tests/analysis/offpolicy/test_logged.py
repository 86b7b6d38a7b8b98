"""From an event log to the sessions that policies are valued on: holdouts, propensities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.field_types import EVENT_SCHEMA
from analysis.offpolicy.estimate import estimate_policy
from analysis.offpolicy.logged import (
    LoggedSessions,
    parse_holdout,
    read_sessions,
)
from tests.analysis.logs.lines import START_MS

COLUMNS = pa.schema(
    EVENT_SCHEMA.field(name)
    for name in (
        "user",
        "timestamp",
        "message",
        "track",
        "time",
        "recommendation",
        "session",
        "propensity",
    )
)
Row = tuple[int, int, str, int, float, int | None, str | None, float | None]
A_SESSION: list[Row] = [
    (3, 0, "next", 10, 1.0, 11, "a", 0.1),
    (3, 1000, "next", 11, 0.5, 12, "a", 0.2),
    (3, 2000, "last", 12, 0.25, None, "a", None),
]


def connect(rows: Sequence[Row]) -> queries.Connection:
    columns = dict(zip(COLUMNS.names, zip(*rows, strict=True), strict=True))
    columns["timestamp"] = [START_MS + ms for ms in columns["timestamp"]]
    connection = queries.connect(threads=1)
    connection.register("events", pa.table(columns, schema=COLUMNS))
    return connection


def read(
    rows: Sequence[Row],
    holdout: dict[str, Any] | None = None,
    uniform: int | None = None,
) -> LoggedSessions:
    return read_sessions(connect(rows), holdout or parse_holdout("all", {}), uniform)


def test_a_recommendations_listening_time_is_that_of_the_next_event() -> None:
    found = read(A_SESSION[::-1])
    assert found.users.tolist() == [3]
    assert found.track.tolist() == [10, 11, 12]
    assert found.time.tolist() == [1.0, 0.5, 0.25]
    np.testing.assert_array_equal(found.propensity, [np.nan, 0.1, 0.2])
    assert found.first.tolist() == [0, 0, 0]


def test_a_request_does_not_count_where_another_track_was_played_or_the_propensity_is_unknown() -> (
    None
):
    rows: list[Row] = [
        (3, 0, "next", 10, 1.0, 11, "a", None),
        (3, 1000, "next", 11, 0.5, 12, "a", 0.2),
        (3, 2000, "last", 99, 0.25, None, "a", None),
        (4, 0, "next", 10, 1.0, 11, "a", 0.1),
        (4, 1000, "last", 11, 0.5, None, "a", None),
    ]
    found = read(rows)
    assert (found.unknown, found.unfollowed, found.sessions) == (1, 1, 2)
    np.testing.assert_array_equal(found.propensity, [np.nan] * 4 + [0.1])


def test_uniform_fills_what_was_not_logged() -> None:
    rows: list[Row] = [
        (3, 0, "next", 10, 1.0, 11, "a", None),
        (3, 1000, "next", 11, 0.5, 11, "a", None),
        (3, 2000, "next", 11, 0.0, 12, "a", None),
        (3, 3000, "last", 12, 0.25, None, "a", None),
    ]
    uniform = read(rows, uniform=20)
    np.testing.assert_allclose(uniform.propensity[1:], [1 / 20] * 3)
    logged = read(A_SESSION, uniform=20)
    np.testing.assert_array_equal(logged.propensity, [np.nan, 0.1, 0.2])


def test_each_holdout_keeps_the_sessions_that_it_names() -> None:
    rows = [
        (
            user,
            ms + day * 86_400_000,
            message,
            track,
            time,
            recommended,
            f"{user}-{day}",
            propensity,
        )
        for user in range(30)
        for day in range(3)
        for _, ms, message, track, time, recommended, _, propensity in A_SESSION
    ]
    manifest: dict[str, Any] = {
        "split": {"kind": "session_hash", "holdout": 0.5},
        "seed": 42,
    }

    def sessions(text: str) -> int:
        return read(rows, parse_holdout(text, manifest)).sessions

    assert sessions("all") == 90
    assert sessions("since:2026-01-02") == 60
    assert sessions("since:2026-01-02T00:00:00.001+00:00") == 30
    assert 30 < sessions("manifest") < 60
    manifest["split"] = {"kind": "last_session"}
    assert sessions("manifest") == 30
    manifest["split"] = {"kind": "newest", "holdout": 0.5}
    assert sessions("manifest") == 30  # one of each listener's three


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some",
        "since:tomorrow",
        "no.parquet",
    ],
)
def test_a_holdout_that_is_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(AnalysisError, match="allowed are all"):
        parse_holdout(text, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "beside the recommendations"),
        ({"split": []}, "no split and seed"),
        ({"split": {"kind": "time", "holdout": 0.1}, "seed": 1}, "since:MOMENT"),
        (
            {"split": {"kind": "session_hash", "holdout": "x"}, "seed": 1},
            "no split and seed",
        ),
    ],
)
def test_a_manifest_that_names_no_usable_split_is_refused(
    content: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        parse_holdout("manifest", content)


def test_a_holdout_without_sessions_is_refused() -> None:
    with pytest.raises(AnalysisError, match="the holdout has no session"):
        read(A_SESSION, parse_holdout("since:2030-01-01", {}))


def test_a_log_without_propensities_cannot_be_used_unless_the_logging_policy_is_stated() -> (
    None
):
    rows = [(*row[:-1], None) for row in A_SESSION]
    with pytest.raises(AnalysisError, match="state the logging policy"):
        estimate_policy(read(rows), np.ones(len(rows)), np.ones(len(rows), np.bool_))
    assert read(rows, uniform=13).unknown == 0
