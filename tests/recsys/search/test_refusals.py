"""What the command of a search refuses, each in one line."""

from pathlib import Path

import pytest

from tests.recsys.commands import search_argv
from tests.recsys.logs import Session, make_store, random_sessions
from tests.recsys.search.quick import QUICK, refusal

pytestmark = pytest.mark.usefixtures("no_reports")


@pytest.mark.parametrize(
    ("sessions", "setting", "message"),
    [
        (
            3,
            "split.holdout=0.9999",
            "holds out 3 of 3 sessions; training and validation",
        ),
        (1, "split.kind=time", "split time and holdout 0.15 holds out 0 of 1 sessions"),
    ],
)
def test_a_one_sided_split_is_one_line_and_leaves_no_dataset(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sessions: int,
    setting: str,
    message: str,
) -> None:
    store = make_store(
        tmp_path, random_sessions(1, listeners=1, tracks=9, sessions=sessions)
    )
    line = refusal(capsys, search_argv(store, tmp_path / "run", [*QUICK, setting]))
    assert message in line
    assert list((store / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["feedback.min_time=2"],
            "no training session has listening time that counts",
        ),
        (["validation.min_time=2"], "no held-out track was heard for at least 2"),
        (["models={}"], "models: none; at least one that the store allows"),
    ],
)
def test_settings_that_leave_nothing_to_learn_from_or_to_score_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    message: str,
) -> None:
    start = random_sessions(1, listeners=1, tracks=9, sessions=1)[0].start_ms
    sessions = [
        Session(day % 2, start + day * 86_400_000, [(1, 1.0), (2, 0.4)], f"s{day}")
        for day in range(30)
    ]
    store = make_store(tmp_path, sessions)
    assert message in refusal(
        capsys, search_argv(store, tmp_path / "run", [*QUICK, *settings])
    )
