"""Planning an experiment from a log: listeners, days, and the command."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from analysis.ab.metrics import METRICS, Metric
from analysis.errors import AnalysisError
from analysis.planning import parse_effect, read_values
from analysis.power import PROG, app, describe, plan
from analysis.statistics.power import Design, achieved_power
from looplib.cli import run
from tests.analysis.simulated import LISTENERS, write_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("power"))


def arriving(per_day: list[int], metric: str = "time") -> tuple[Metric, pa.Table]:
    """New listeners on each day, who come once, but for the first, who comes on the last too."""
    day = (
        np.append(np.repeat(np.arange(len(per_day)), per_day), len(per_day) - 1)
        + 20_000
    )
    count = len(day)
    time = 10 + 3 * np.random.default_rng(1).standard_normal(count)
    rows = {
        "user": np.append(np.arange(count - 1), 0),
        "part": day,
        "time": time,
        "sessions": np.ones(count),
    }
    return METRICS[metric], pa.table(rows)


def test_the_day_is_the_first_on_which_enough_listeners_have_come_and_stays_enough() -> (
    None
):
    planned = plan(*arriving([100] * 10, "mean_time_per_session"), 0.1, Design())
    assert planned.days is not None
    day = next(day for day in planned.timeline if day.day == planned.days)
    before = next(day for day in planned.timeline if day.day == planned.days - 1)
    assert before.listeners < before.needed
    assert planned.listeners == day.needed <= day.listeners
    assert not planned.beyond_log


def test_the_listeners_it_names_have_the_power_that_was_asked_for() -> None:
    planned = plan(*arriving([500] * 4), 0.05, Design(power=0.9))
    assert planned.listeners is not None
    last = planned.timeline[-1]
    for listeners, enough in ((last.needed, True), (last.needed - 2, False)):
        found = achieved_power(
            planned.variance, listeners, 0.05 * planned.mean, Design()
        )
        assert (found >= 0.9) is enough
    assert last.detectable_pct / 5 == pytest.approx(
        (last.needed / last.listeners) ** 0.5, rel=0.02
    )


def test_beyond_the_log_days_follow_from_the_latest_arrivals() -> None:
    planned = plan(*arriving([400, 0, 20, 20]), 0.02, Design())
    assert planned.beyond_log
    assert planned.arrivals_per_day == 20
    assert planned.listeners is not None
    assert planned.days == 4 + -(-(planned.listeners - 440) // 20)


def test_without_new_listeners_there_is_no_day() -> None:
    planned = plan(*arriving([400, 0, 0, 0]), 0.001, Design())
    assert (planned.listeners, planned.days, planned.beyond_log) == (None, None, False)
    assert "no more arrive" in describe(planned).splitlines()[-1]


def test_a_smaller_share_of_the_listeners_takes_longer() -> None:
    whole, half = (
        plan(*arriving([100] * 20), 0.08, Design(), share) for share in (1.0, 0.5)
    )
    assert whole.days is not None
    assert half.days is not None
    assert whole.days < half.days
    assert half.timeline[-1].listeners == whole.timeline[-1].listeners // 2


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(AnalysisError, match="share of the listeners"):
        plan(*arriving([10]), 0.1, Design(), share)


def test_a_metric_that_does_not_vary_is_refused() -> None:
    metric, rows = arriving([10, 10], "mean_time_per_session")
    with pytest.raises(AnalysisError, match="nothing to plan from"):
        plan(metric, rows.set_column(2, "time", rows["sessions"]), 0.1, Design())


def test_listeners_who_return_make_the_variance_fall(log: Path) -> None:
    planned = plan(*read_values([log], "mean_time_per_session", "day"), 0.05, Design())
    early, late = planned.timeline[len(planned.timeline) // 4], planned.timeline[-1]
    assert late.needed < early.needed


def test_metrics_are_the_sums_that_their_names_say(log: Path) -> None:
    """Against the events, a line at a time."""
    lines = [
        json.loads(line)
        for file in sorted(log.glob("*.jsonl"))
        for line in file.read_bytes().splitlines()
    ]
    heard, sessions, tracks = np.zeros((3, LISTENERS))
    for line in lines:
        heard[line["user"]] += line["time"]
        tracks[line["user"]] += 1
        sessions[line["user"]] += line["message"] == "last"

    def value(name: str) -> float:
        metric, rows = read_values([log], name, "whole")
        return metric.moments(
            {column: rows[column].to_numpy() for column in metric.sums}
        ).mean(metric.quantity)

    assert value("time") == pytest.approx(heard.mean())
    assert value("mean_time_per_session") == pytest.approx((heard / sessions).mean())
    recommended = tracks.sum() - sessions.sum()
    assert value("time_per_recommended_track") == pytest.approx(
        (heard.sum() - sessions.sum()) / recommended
    )


@pytest.mark.parametrize(
    ("text", "effect"), [("5%", 0.05), ("0.05", 0.05), ("-10%", -0.1), ("1e-2", 0.01)]
)
def test_effects_are_read_in_percent_or_shares(text: str, effect: float) -> None:
    assert parse_effect(text) == pytest.approx(effect)


@pytest.mark.parametrize(
    "text", ["", "%", "five", "0", "0%", "nan", "inf", "-1", "-200%"]
)
def test_effects_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(AnalysisError, match="a share such as 5%"):
        parse_effect(text)


def test_the_command_writes_what_it_says(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plan.json"
    assert run(app, PROG, [str(log), "--effect", "50%", "--out", str(out)]) == 0
    document = json.loads(out.read_bytes())
    assert (
        f"takes {document['listeners']:,} listeners in all arms, {document['days']} days"
        in capsys.readouterr().out
    )
    assert document["timeline"][-1]["listeners"] == LISTENERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--effect", "x"], "effect x"),
        (["--effect", "5%", "--metric", "tim"], "the nearest is time"),
        (["--effect", "5%", "--metric", "latency_p99"], "a quantile"),
        (
            ["--effect", "5%", "--power", "1.5"],
            "power must be between alpha (0.05) and 1",
        ),
        (["--effect", "5%", "--share", "2"], "share 2.0"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    log: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, PROG, [str(log), *arguments]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
