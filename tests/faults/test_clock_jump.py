"""A service whose clock jumps between segments, back or forward, and is set right again."""

from pathlib import Path
from typing import Any

import pytest

from analysis.ab.config import AbConfig
from analysis.ab.report import Report, build_report
from tests.analysis.ab.logs import experiment, write

HOUR_MS = 3_600_000
METRICS = ("time", "sessions", "mean_tracks_per_session", "mean_time_per_session")


def report_of(folder: Path, shift_ms: int) -> Report:
    """Report on the experiment in three segments, the clock of the middle one off."""
    events = sorted(experiment(), key=lambda event: event["timestamp"])
    third = len(events) // 3
    starts = [0, *(_within_a_session(events, at) for at in (third, 2 * third))]
    parts = zip(starts, [*starts[1:], len(events)], (0, shift_ms, 0), strict=True)
    files = []
    for start, end, shift in parts:
        moved = [e | {"timestamp": e["timestamp"] + shift} for e in events[start:end]]
        files.append(write(folder / f"events-{start}.jsonl", moved))
    return build_report(files, "ALS", AbConfig())


def _within_a_session(events: list[dict[str, Any]], start: int) -> int:
    return next(
        at
        for at in range(start, len(events))
        if events[at]["session"] == events[at - 1]["session"]
    )


def values_of(report: Report) -> list[float]:
    return [
        value
        for effect in report.effects
        if effect.metric in METRICS
        for value in (effect.control_value, effect.arm_value)
    ]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(tmp_path_factory.mktemp("right"), 0)


@pytest.mark.parametrize(
    "shift_ms", [-HOUR_MS, 400 * 24 * HOUR_MS], ids=["back", "a year"]
)
def test_a_jumping_clock_is_noted_and_counts_stay_right(
    tmp_path: Path, right: Report, shift_ms: int
) -> None:
    report = report_of(tmp_path, shift_ms)
    assert report.quality.broken_chains
    assert not right.quality.broken_chains
    for count in ("lines", "listeners", "sessions", "srm"):
        assert getattr(report, count) == getattr(right, count), count
    # What stands alone at the end, a year ahead, is a session without an end and left out.
    assert values_of(report) == pytest.approx(values_of(right), rel=0.01)
    assert report.quality.events == right.quality.events
    assert report.quality.dropped_events <= 2
