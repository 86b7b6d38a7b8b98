"""What the command of a search refuses, each in one line."""

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.recsys.logs import START_MS, Session, make_store, random_store

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
    tmp_path: Path, refused: Run, sessions: int, setting: str, message: str
) -> None:
    store = random_store(tmp_path, listeners=1, tracks=9, sessions=sessions)
    assert message in refused(store, tmp_path / "run", setting)
    assert list((store / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("feedback.min_time=2", "no training session has listening time that counts"),
        ("validation.min_time=2", "no held-out track was heard for at least 2"),
        ("models={}", "models: none; at least one that the store allows"),
    ],
)
def test_settings_that_leave_nothing_to_learn_from_or_to_score_are_one_line(
    tmp_path: Path, refused: Run, setting: str, message: str
) -> None:
    sessions = [
        Session(day % 2, START_MS + day * 86_400_000, [(1, 1.0), (2, 0.4)], f"s{day}")
        for day in range(30)
    ]
    store = make_store(tmp_path, sessions)
    assert message in refused(store, tmp_path / "run", setting)
