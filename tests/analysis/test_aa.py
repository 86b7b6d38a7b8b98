"""Splitting listeners who are treated alike: the hash, error rates, coverage, the command."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analysis.aa import GONE, PROG, app, check, describe, in_control
from analysis.ab.metrics import METRICS, Metric
from analysis.errors import AnalysisError
from analysis.planning import read_values
from looplib.cli import run
from looplib.experiments import Arm, Experiment
from tests.analysis.simulated import LISTENERS, write_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("aa"))


@pytest.fixture(scope="module")
def values(log: Path) -> tuple[Metric, pa.Table]:
    return read_values([log], "mean_time_per_session")


def test_listeners_are_split_as_the_service_splits_them() -> None:
    users = [*range(500), 2**31, 2**63 - 1]
    arms = (Arm(name="C", recommender="random"), Arm(name="T1", recommender="random"))
    service = Experiment(name="any", arms=arms, salt="new salt")
    ours = in_control([str(user).encode() for user in users], "new salt")
    assert ours.tolist() == [name == "C" for name in service.assign(users)]


@pytest.mark.parametrize(
    "metric", ["mean_time_per_session", "time_per_recommended_track"]
)
def test_of_splits_of_a_simulated_log_as_many_are_rejected_as_chance_allows(
    log: Path, metric: str
) -> None:
    report = check(*read_values([log], metric), runs=400)
    assert (report.fewest, report.most) == (7, 36)
    assert report.as_expected
    assert report.listeners == LISTENERS


def test_a_test_that_takes_sessions_for_independent_is_caught() -> None:
    """A listener's tracks counted as listeners of their own: rejections are far too many."""
    rng = np.random.default_rng(4)
    taste = rng.normal(10, 3, 100)
    users = np.repeat(np.arange(100), 30)
    rows = pa.table({"user": users, "time": rng.normal(taste[users], 1.0)})
    report = check(METRICS["time"], rows, runs=200)
    assert report.rejected > 60
    assert "NOT as expected" in describe(report)


def test_too_few_listeners_and_metrics_without_values_are_refused(
    log: Path, values: tuple[Metric, pa.Table]
) -> None:
    metric, rows = values
    with pytest.raises(
        AnalysisError,
        match="19 listeners have a mean_time_per_session; at least 20 are needed",
    ):
        check(metric, rows.filter(pc.field("user") < 19), runs=1)
    with pytest.raises(AnalysisError, match="nothing can be tested"):
        check(*read_values([log], "fallback_share"), runs=1)


def test_the_command_writes_what_it_says(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "aa.json"
    arguments = [
        "--runs",
        "60",
        "--metric",
        "time",
        "--out",
        str(out),
    ]
    assert run(app, PROG, [str(log), *arguments]) == 0
    printed = capsys.readouterr().out
    document = json.loads(out.read_bytes())
    assert f"false positives at 5 %: {document['rejected']} of 60" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--effect", "5%"], "--effect was removed"),
        (["--metric", "tme"], "the nearest is time"),
        (["--scheduler", "tcp://host:8786"], "leave it out"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    log: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, PROG, [str(log), "--runs", "60", *arguments], gone=GONE) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
