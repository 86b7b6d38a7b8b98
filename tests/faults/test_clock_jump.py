"""A service whose clock jumps between segments, back or forward, and is set right again."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from analysis.ab.__main__ import PROG, app
from looplib.cli import run
from recsys.config import Feedback, Split
from recsys.dataset.buckets import prepare_bucket
from recsys.dataset.split import SplitRule
from recsys.ingest.pipeline import ingest
from tests.analysis.ab.logs import experiment, write

HOUR_MS = 3_600_000
CONFIG = Path("configs/ab.yaml")
Report = dict[str, Any]


def write_segments(folder: Path, shift_ms: int) -> list[Path]:
    """The experiment in three segments, the clock of the middle one off."""
    events = sorted(experiment(), key=lambda event: event["timestamp"])
    cuts = [
        0,
        *(_within_a_session(events, part * len(events) // 3) for part in (1, 2)),
        len(events),
    ]
    files = []
    for number, shift in enumerate((0, shift_ms, 0)):
        part = events[cuts[number] : cuts[number + 1]]
        moved = [event | {"timestamp": event["timestamp"] + shift} for event in part]
        files.append(write(folder / f"events-{number}.jsonl", moved))
    return files


def _within_a_session(events: list[dict[str, Any]], start: int) -> int:
    return next(
        at
        for at in range(start, len(events))
        if events[at]["session"] == events[at - 1]["session"]
    )


def report_of(files: list[Path], out: Path) -> Report:
    argv = [
        *map(str, files),
        "--experiment",
        "ALS",
        "--config",
        str(CONFIG),
        "--out",
        str(out),
    ]
    assert run(app, PROG, argv) == 0
    report: Report = orjson.loads((out / "report.json").read_bytes())
    return report


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("right")
    return report_of(write_segments(folder / "log", 0), folder / "report")


def value_of(report: Report, metric: str) -> tuple[float, float]:
    (row,) = [row for row in report["effects"] if row["metric"] == metric]
    return row["control_value"], row["arm_value"]


@pytest.mark.parametrize(
    "shift_ms", [-HOUR_MS, 400 * 24 * HOUR_MS], ids=["back", "a year"]
)
def test_a_jumping_clock_is_noted_and_counts_stay_right(
    tmp_path: Path, right: Report, shift_ms: int
) -> None:
    found = report_of(write_segments(tmp_path / "log", shift_ms), tmp_path / "report")
    assert found["quality"]["broken_chains"]
    assert not right["quality"]["broken_chains"]
    for count in ("lines", "listeners", "sessions", "srm"):
        assert found[count] == right[count], count
    for metric in (
        "time",
        "sessions",
        "mean_tracks_per_session",
        "mean_time_per_session",
    ):
        # What stands alone at the end, a year ahead, is a session without an end and left out.
        assert value_of(found, metric) == pytest.approx(
            value_of(right, metric), rel=0.01
        ), metric
    quality, whole = (report["quality"] for report in (found, right))
    assert quality["events"] == whole["events"]
    assert quality["dropped_events"] <= 2


def test_training_on_the_log_of_a_jumping_clock_loses_no_event(tmp_path: Path) -> None:
    store = ingest(
        write_segments(tmp_path / "log", -HOUR_MS), tmp_path / "store", buckets=1
    ).store
    address, parts, rule = (
        store.workspace.address,
        [part for part in store.manifest.parts if not part.bucket],
        SplitRule(Split(), seed=1),
    )
    found = prepare_bucket(address, parts, str(tmp_path), rule, Feedback())
    events = experiment()
    assert (found["events"], found["sessions"]) == (
        len(events),
        len({event["session"] for event in events}),
    )
