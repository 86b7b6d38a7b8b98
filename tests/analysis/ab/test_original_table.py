"""The original table is what the original course service's notebook computes, in any order."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.ab import events as event_slices
from analysis.ab.config import AbConfig
from analysis.ab.report import Report, build_report
from looplib.randomness import make_generator
from tests.analysis.ab import notebook
from tests.analysis.ab.logs import START_MS, event, experiment, write

# The notebook divides by 0 where nothing varies.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# secondary metrics are analysed once, at 95 %
CONFIG = AbConfig(
    primary=("time_per_session",), guardrails=(), secondary=notebook.METRICS
)


def assert_equal(report: Report, files: list[Path]) -> None:
    """Every number of the table equals the notebook's to 1e-9; what does not exist is NaN."""
    expected = notebook.table(notebook.read(files), "ALS")
    rows = [row for row in report.evidence.effects if row.role == "secondary"]
    assert expected.keys() == {(row.arm, row.metric) for row in rows}
    for row in rows:
        ours = (row.control_value, row.arm_value, *row.absolute)
        for value, theirs in zip(ours, expected[row.arm, row.metric], strict=True):
            if math.isfinite(theirs):
                assert value == pytest.approx(theirs, rel=1e-9, abs=1e-9), row


def test_three_arms_are_each_compared_with_the_control(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", experiment(arms=("C", "T1", "T2")))
    report = build_report([file], "ALS", CONFIG)
    assert_equal(report, [file])
    assert [*report.evidence.listeners] == ["C", "T1", "T2"]


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of a few listeners in the original's form, many at the same millisecond."""
    count = draw(st.integers(8, 60))
    shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5]))
    return [
        event(
            user,
            START_MS + draw(st.integers(0, 12)),
            draw(st.sampled_from(["next", "next", "last"])),
            track=index,
            time=draw(shares),
            latency=draw(st.floats(0, 3)),
            experiments={"ALS": "C" if user % 2 else "T1"},
        )
        for index, user in enumerate(
            draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
        )
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(events=logs())
@pytest.mark.slow
def test_any_log_gives_the_notebooks_table(
    folder: Path, events: list[dict[str, Any]]
) -> None:
    both = [
        event(user, START_MS + 20, "last", experiments={"ALS": arm})
        for user, arm in ((0, "T1"), (1, "C"))
    ]
    file = write(folder / "a.jsonl", events + both)
    assert_equal(build_report([file], "ALS", CONFIG), [file])


def test_neither_the_order_of_lines_nor_of_files_nor_the_replica_matters(
    tmp_path: Path,
) -> None:
    events = experiment(effect=0.1, past=2)

    def make(files: list[Path]) -> bytes:
        report = build_report(files, "ALS", CONFIG)
        return orjson.dumps(replace(report, sources=()).to_json())

    expected = make([write(tmp_path / "a.jsonl", events)])
    order = make_generator(0, "shuffle").permutation(len(events))
    files = [
        write(tmp_path / replica / "a.jsonl", (events[row] for row in rows))
        for replica, rows in zip("abc", np.split(order, [50, 90]), strict=True)
    ]
    assert make(files) == make(files[::-1]) == expected


def test_a_report_does_not_depend_on_the_number_of_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "a.jsonl", experiment(24, effect=0.1, past=1))
    whole = build_report([log], "ALS", CONFIG).to_json()
    monkeypatch.setattr(event_slices, "_EVENTS_OF_A_SLICE", 300)
    sliced = build_report([log], "ALS", CONFIG).to_json()
    assert orjson.dumps(sliced) == orjson.dumps(whole)
