"""Splitting listeners who are treated alike: the hash, error rates, coverage, the command."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analysis.aa import GONE, PROG, app, check, in_control, split
from analysis.ab.metrics import METRICS, Metric
from analysis.errors import AnalysisError
from analysis.planning import read_values
from looplib.arrays import FloatArray
from looplib.cli import run
from looplib.experiments import Arm, Experiment
from tests.analysis.simulated import LISTENERS, write_log

SALTS = [f"salt {number}" for number in range(200)]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric", ["mean_time_per_session", "time_per_recommended_track"]
)
def test_of_a_thousand_splits_of_a_simulated_log_27_to_76_are_rejected_and_intervals_cover(
    log: Path, metric: str
) -> None:
    report = check(*read_values([log], metric), runs=1000)
    assert (report.rejections.lower, report.rejections.upper) == (27, 76)
    assert 27 <= report.rejections.value <= 76
    assert report.covered.lower <= report.covered.value <= report.covered.upper
    assert report.uniformity_p > 0.001
    assert report.as_expected
    assert report.listeners == LISTENERS


def test_a_sound_system_raises_an_alarm_in_one_of_a_thousand_and_an_unsound_one_always(
    values: tuple[Metric, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, alarms = np.random.default_rng(9), 0

    def splits(_: Metric, __: pa.Table, salts: list[str], ___: float) -> FloatArray:
        uniform = generator.random((len(salts), 2)) ** power
        ends = np.where(uniform[:, 1] < 0.95, 1.0, -1.0)
        return np.column_stack([uniform[:, 0], -ends, ends])

    monkeypatch.setattr("analysis.aa.split", splits)
    power = 1.0
    for _ in range(300):
        alarms += not check(*values, runs=500, effect=0.5).as_expected
    assert alarms <= 3  # 0.3 are expected at most; more than 3 come once in 3,800 times
    power = 1.5
    assert not any(check(*values, runs=500, effect=0.5).as_expected for _ in range(20))


def test_a_test_that_takes_sessions_for_independent_is_caught() -> None:
    """A listener's tracks counted as listeners of their own: rejections are far too many."""
    rng = np.random.default_rng(4)
    taste = rng.normal(10, 3, 100)
    users = np.repeat(np.arange(100), 30)
    rows = pa.table({"user": users, "time": rng.normal(taste[users], 1.0)})
    p_values, *_ = split(METRICS["time"], rows, SALTS, 0.03).T
    assert np.mean(p_values < 0.05) > 0.3


def test_an_effect_changes_the_metric_by_its_share() -> None:
    rng = np.random.default_rng(6)
    rows = pa.table(
        {
            "user": np.arange(1000),
            "time": rng.random(1000) + 1,
            "sessions": rng.random(1000) + 1,
        }
    )
    (p_none, *ends_none), (p_some, *ends_some) = (
        split(METRICS["time_per_session"], rows, SALTS[:20], effect).T
        for effect in (0.0, 0.25)
    )
    np.testing.assert_array_equal(p_none, p_some)
    np.testing.assert_allclose(
        1 + np.array(ends_some), 1.25 * (1 + np.array(ends_none)), rtol=1e-12
    )


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
        "--effect",
        "4%",
        "--metric",
        "time",
        "--out",
        str(out),
    ]
    assert run(app, PROG, [str(log), *arguments]) == 0
    printed = capsys.readouterr().out
    document = json.loads(out.read_bytes())
    assert document["effect"] == 0.04
    assert f"false positives  {document['rejections']['value']} of 60" in printed
    assert f"coverage         {document['covered']['value']} of 60" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--effect", "five"], "effect five: a share such as 5%"),
        (["--effect", "-100%"], "above -100%"),
        (["--metric", "tme"], "the nearest is time"),
        (["--scheduler", "tcp://host:8786"], "leave it out"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    log: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, PROG, [str(log), "--runs", "60", *arguments], gone=GONE) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
