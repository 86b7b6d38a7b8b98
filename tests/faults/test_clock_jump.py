"""A service whose clock jumps, back or forward, and is set right again."""

from pathlib import Path

import pytest

from analysis.ab.config import AbConfig
from analysis.ab.report import Report, build_report
from tests.analysis.ab.logs import experiment, write

HOUR_MS = 3_600_000
METRICS = ("time", "sessions", "mean_tracks_per_session", "mean_time_per_session")


def report_of(folder: Path, shift_ms: int) -> Report:
    """Report on an experiment; the clock is off in the middle third of its log."""
    events = sorted(experiment(), key=lambda event: event["timestamp"])
    for event in events[len(events) // 3 : 2 * len(events) // 3]:
        event["timestamp"] += shift_ms
    return build_report([write(folder / "events.jsonl", events)], "ALS", AbConfig())


def values_of(report: Report) -> list[float]:
    effects = [effect for effect in report.evidence.effects if effect.metric in METRICS]
    return [effect.arm_value for effect in effects]


@pytest.fixture(scope="module")
def right(folder: Path) -> Report:
    return report_of(folder, 0)


@pytest.mark.parametrize(
    "shift_ms", [-HOUR_MS, 400 * 24 * HOUR_MS], ids=["back", "a year"]
)
def test_a_jumping_clock_is_noted_and_counts_stay_right(
    tmp_path: Path, right: Report, shift_ms: int
) -> None:
    report = report_of(tmp_path, shift_ms)
    assert report.evidence.quality.broken_chains
    assert not right.evidence.quality.broken_chains
    for count in ("lines", "listeners", "sessions", "srm"):
        assert getattr(report.evidence, count) == getattr(right.evidence, count), count
    # An event that stands alone a year ahead is a session without an end, which is left out.
    assert values_of(report) == pytest.approx(values_of(right), rel=0.01)
    assert report.evidence.quality.events == right.evidence.quality.events
    assert report.evidence.quality.dropped_events <= 2
