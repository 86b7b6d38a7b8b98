"""What the command of a search refuses, each in one line."""

from pathlib import Path

import pytest

from tests.recsys.commands import search_argv
from tests.recsys.logs import Session, make_store, random_sessions
from tests.recsys.search.quick import QUICK, refusal

pytestmark = pytest.mark.usefixtures("no_reports")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("serch.iterations=3", "serch: unknown key; the nearest known key is search"),
        (
            "models.als.factor=[3]",
            "models.als.factor: unknown key; the nearest known key is factors",
        ),
        ("models={}", "models: none; at least one that the store allows"),
        (
            "search.strategy=random",
            "search.strategy: Input should be 'grid' or 'halving'",
        ),
        ("split.holdout=1.0", "split.holdout: Input should be less than 1"),
        (
            "validation.select=ndgc@30",
            "select is ndgc@30; expected metric@k, the metric one of ndcg, ",
        ),
        ("validation.select=ndcg@20", "k one of 5, 30"),
        (
            "search={strategy: halving, expand_trials: 0}",
            "search.expand_trials: Input should be greater than or equal to 1",
        ),
        ("cluster.memory_limit=huge", "cluster.memory_limit"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    message: str,
) -> None:
    assert message in refusal(
        capsys, search_argv(store, tmp_path / "run", [*QUICK, setting])
    )
    assert not list(tmp_path.glob("run/ledger*"))


def test_a_missing_store_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, search_argv(tmp_path / "absent", tmp_path / "run", QUICK))
    assert "absent: no session store here" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sessions", "setting", "message"),
    [
        (
            3,
            "split.holdout=0.0001",
            "holds out 0 of 3 sessions; training and validation",
        ),
        (
            3,
            "split.holdout=0.9999",
            "holds out 3 of 3 sessions; training and validation",
        ),
        (1, "split.kind=last_session", "split last_session holds out 0 of 1 sessions"),
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


def test_a_folder_that_is_no_run_is_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").write_text("x")
    assert "not empty and not a run" in refusal(
        capsys, search_argv(store, tmp_path / "other", QUICK)
    )
