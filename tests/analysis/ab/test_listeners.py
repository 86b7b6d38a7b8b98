"""Metrics of one's own and first days, against plain Python, and what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.report import Report, build_report
from analysis.errors import AnalysisError
from looplib.config import dump_config, load_config
from tests.analysis.ab.logs import DAY_MS, experiment, write

LATE_SKIPS = """
-- label: late skips, share
-- better: lower
SELECT user, arm, segment, count(*) FILTER (WHERE time < 0.3) AS numerator, count(*) AS denominator
FROM events
WHERE position > 3
GROUP BY ALL
"""
EVENTS = experiment(200, effect=0.1, past=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, and files beside it."""
    folder = tmp_path_factory.mktemp("own")
    write(folder / "log" / "a.jsonl", EVENTS)
    (folder / "late_skips.sql").write_text(LATE_SKIPS)
    return folder


def settings(folder: Path, **changes: Any) -> AbConfig:  # noqa: ANN401  any value
    given = {
        "metrics": {"late_skips": str(folder / "late_skips.sql")},
        "guardrails": [{"metric": "late_skips", "margin": 0.5}],
        "min_listeners": 20,
        "min_days": 1,
        "confirm": False,
    }
    return AbConfig.model_validate(given | changes)


def report_of(events: list[dict[str, Any]], folder: Path, config: AbConfig) -> Report:
    return build_report([write(folder / "a.jsonl", events)], "ALS", config)


def effect_in(folder: Path, config: AbConfig, metric: str) -> MetricEffect:
    return build_report([folder / "log"], "ALS", config).evidence.effect("T1", metric)


def sessions_of(arm: str) -> dict[str, list[dict[str, Any]]]:
    """Events of an arm by session, in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in EVENTS:
        if event["experiments"].get("ALS") == arm:
            found.setdefault(event["session"], []).append(event)
    return found


def test_a_metric_of_ones_own_is_what_its_sql_says_by_listener(
    folder: Path,
) -> None:
    config = settings(folder, primary=["late_skips"], guardrails=[])
    effect = effect_in(folder, config, "late_skips")
    late = {
        arm: [
            event["time"] < 0.3
            for own in sessions_of(arm).values()
            for event in own[3:]
        ]
        for arm in ("C", "T1")
    }
    assert (effect.control_value, effect.arm_value) == pytest.approx(
        [np.mean(late["C"]), np.mean(late["T1"])]
    )
    assert not math.isnan(effect.past_explains)


def test_an_own_metric_has_its_lists_role_also_in_the_written_configuration(
    folder: Path,
) -> None:
    config = settings(folder)
    assert config.roles["late_skips"] == "guardrail"
    (folder / "written.yaml").write_text(dump_config(config))
    assert load_config(AbConfig, folder / "written.yaml") == config
    effect = effect_in(folder, config, "late_skips")
    assert (effect.guardrail, effect.higher_is_better) == ("kept", False)


def with_metric(folder: Path, file: Path, columns: str) -> AbConfig:
    """A configuration with a metric `wrong` of these columns."""
    file.write_text(f"SELECT user, arm, segment, {columns} FROM sessions")  # noqa: S608  written by these tests
    return settings(
        folder,
        metrics={"wrong": str(file)},
        secondary=["wrong"],
        guardrails=[],
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("FROM", "Parser Error"),
        (
            "1 AS numerator",
            '"denominator" not found in FROM clause! Candidate bindings',
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line_before_anything_is_read(
    folder: Path, tmp_path: Path, columns: str, words: str
) -> None:
    with pytest.raises(AnalysisError) as caught:
        build_report(
            [tmp_path / "no log"],
            "ALS",
            with_metric(folder, tmp_path / "wrong.sql", columns),
        )
    assert "\n" not in str(caught.value)
    assert "metric wrong: " in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_fails_on_the_data_is_named(folder: Path, tmp_path: Path) -> None:
    columns = "CAST(user || 'x' AS BIGINT) AS numerator, 1 AS denominator"
    config = with_metric(folder, tmp_path / "wrong.sql", columns)
    with pytest.raises(AnalysisError, match=r"wrong\.sql: Conversion Error"):
        build_report([folder / "log"], "ALS", config)


def test_a_quantile_leaves_out_what_has_no_value(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "slow.sql"
    file.write_text(
        "-- quantile: 0.5\n"
        "SELECT user, arm, CASE WHEN latency > 0.001 THEN latency END AS value FROM events"
    )
    metrics = {"slow": str(file)}
    config = settings(folder, metrics=metrics, guardrails=[], secondary=["slow"])
    effect = effect_in(folder, config, "slow")
    events = (event for own in sessions_of("C").values() for event in own)
    expected = [event["latency"] for event in events if event["latency"] > 0.001]
    assert effect.control_value == pytest.approx(np.median(expected), rel=0.02)


def test_the_effect_in_parts_of_listeners_days_is_that_of_a_log_of_their_sessions_alone(
    folder: Path, tmp_path: Path
) -> None:
    begun: dict[int, int] = {}
    parts: dict[int, dict[int, list[dict[str, Any]]]] = {}
    for arm in ("C", "T1"):
        for session in sessions_of(arm).values():
            user, start = session[0]["user"], session[0]["timestamp"]
            day = (start - begun.setdefault(user, start)) // DAY_MS
            # the first quarter of four days, and the later half
            parts.setdefault(min(day, 2), {}).setdefault(user, []).extend(session)
    both = parts[0].keys() & parts[2].keys()
    # of each method
    metrics = ["mean_time_per_session", "time_per_recommended_track", "time"]
    config = settings(folder, primary=metrics, secondary=[], guardrails=[])
    events = [event for event in EVENTS if event["user"] in both]
    report = report_of(events, tmp_path, config)
    config = settings(folder, primary=["sessions"], secondary=metrics, guardrails=[])
    alone = [
        report_of(
            [event for user in both for event in parts[day][user]], tmp_path, config
        )
        for day in (0, 2)
    ]
    by_days = report.evidence.novelty[: len(metrics)]
    assert [row.metric for row in by_days] == metrics
    for row in by_days:
        assert row.clock == "a listener's days"
        expected = [
            part.evidence.effect("T1", row.metric).relative.value for part in alone
        ]
        assert [row.first, row.later.value] == pytest.approx(expected)
