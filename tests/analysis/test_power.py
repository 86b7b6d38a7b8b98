"""Planning an experiment from a log: listeners, days, and the command."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.effects import metric_effects
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import METRICS
from analysis.ab.verdict import Verdict, decide
from analysis.errors import AnalysisError
from analysis.power import (
    PastLog,
    Rule,
    describe,
    parse_effect,
    plan,
    quantity_of,
)
from analysis.statistics.moments import Moments
from looplib.arrays import FloatArray
from looplib.experiments import Guardrail
from looplib.randomness import make_generator
from tests.analysis.ab.logs import experiment, write
from tests.analysis.ab.samples import make_evidence
from tests.conftest import Run

LISTENERS = 400


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session a day of every listener; no recommendation is a fallback."""
    folder = tmp_path_factory.mktemp("power")
    events = experiment(LISTENERS, arms=("C",), days=14)
    answered = (
        event | {"recommender": event["recommender"] and "of C"} for event in events
    )
    write(folder / "a.jsonl", answered)
    return folder


def past_log(by_metric: dict[str, FloatArray], arrivals: FloatArray) -> PastLog:
    """A log of listeners with these values."""
    metrics = [METRICS[name] for name in by_metric]
    columns: dict[str, FloatArray] = {}
    for metric in metrics:
        values = by_metric[metric.name]
        names = vars(quantity_of(metric)).values()
        columns |= zip(names, (values, np.ones(len(values))), strict=True)
    return PastLog(metrics, Moments.of(columns), arrivals)


def arriving(per_day: list[int], metric: str = "time") -> PastLog:
    """A log with so many new listeners on each day."""
    values = 10 + 3 * np.random.default_rng(1).standard_normal(sum(per_day))
    return past_log({metric: values}, np.array(per_day, float))


FREE = AbConfig(guardrails=(), min_listeners=2)
RUNS = 60  # experiments; docs/statistics.md has the shares of 1,000


def test_the_day_is_the_first_on_which_enough_listeners_have_come() -> None:
    planned = plan(arriving([100] * 20, "mean_time_per_session"), 0.07, FREE)
    assert planned.days is not None
    assert planned.days < 20
    assert 100 * (planned.days - 1) < planned.listeners <= 100 * planned.days


@pytest.mark.parametrize(("arms", "rule"), [(2, "fixed-horizon"), (3, "any-time")])
def test_the_verdict_on_the_listeners_it_names_has_the_power_that_was_asked_for(
    arms: int, rule: Rule
) -> None:
    """Against the rules of the verdict at the end of four days, on listeners drawn anew."""
    lift, days = 0.1, 4
    config = AbConfig(
        confirm=False,
        primary=("time",),
        guardrails=(Guardrail(metric="sessions", margin_pct=10),),
        secondary=(),
    )
    generator = make_generator(5, "plan", arms)
    # as many analyses as there will be
    arrivals = np.full(days, 20_000 / days)
    log = past_log(draw_listeners(generator, 20_000, 1.0), arrivals)
    planned = plan(log, lift, config, arms=arms, rule=rule)
    names = ["C", *(f"T{number}" for number in range(1, arms))]
    if rule == "fixed-horizon":
        horizon = FixedHorizon(listeners=planned.listeners // arms * arms)
        config = config.model_copy(update={"fixed_horizon": horizon})
    else:
        config = config.model_copy(update={"expected_listeners": planned.listeners})
    shipped = 0
    for _ in range(RUNS):
        drawn = {
            arm: draw_listeners(
                generator, planned.listeners // arms, 1 + lift * (arm == "T1")
            )
            for arm in names
        }
        for day in range(1, days + 1):
            verdict = analyse(drawn, day / days, config)
            if verdict.decision == "ship":
                shipped += verdict.arm == "T1"
                break
    assert shipped / RUNS == pytest.approx(0.8, abs=0.155)  # three standard errors


def analyse(
    drawn: dict[str, dict[str, FloatArray]], progress: float, config: AbConfig
) -> Verdict:
    """The verdict on the first listeners of each arm."""
    moments: dict[str, dict[str, Moments]] = {"time": {}, "sessions": {}}
    for arm, columns in drawn.items():
        count = int(progress * len(columns["time"]))
        for name, by_arm in moments.items():
            now = columns[name][:count]
            by_arm[arm] = Moments.of({"numerator": now, "denominator": np.ones(count)})
    counts = {arm: row.count for arm, row in moments["time"].items()}
    total = sum(counts.values())
    planned = config.expected_listeners or 1
    if config.fixed_horizon:
        planned = config.fixed_horizon.listeners
    analysis = InterimAnalysis(config, total / planned, len(counts))
    effects = metric_effects(moments, analysis)
    evidence = make_evidence(*effects, listeners=counts, is_final=analysis.is_final)
    return decide(evidence, config)


def draw_listeners(
    generator: np.random.Generator, count: int, lift: float
) -> dict[str, FloatArray]:
    """Draw the listening times and sessions of listeners, which depend on each other."""
    taste = generator.lognormal(0, 0.5, count)
    sessions = 1.0 + generator.poisson(3 * taste).astype(np.float64)
    return {
        "time": lift * sessions * generator.gamma(2.0, size=count),
        "sessions": sessions,
    }


def test_shares_are_of_the_arms_that_they_name_in_any_order() -> None:
    log = arriving([100] * 20)
    shares = [{"C": 80.0, "T1": 10.0}, {"T1": 10.0, "C": 80.0}, {"T1": 80.0, "C": 10.0}]
    needed = [
        plan(log, 0.05, FREE.model_copy(update={"shares": given})) for given in shares
    ]
    assert needed[0] == needed[1] != needed[2]


def test_larger_effects_take_fewer_listeners_and_leave_guardrails_as_they_are() -> None:
    log = past_log(draw_listeners(make_generator(5, "plan"), 20_000, 1.0), np.ones(1))
    guardrail = Guardrail(metric="sessions", margin_pct=10)
    config = AbConfig(primary=("time",), guardrails=(guardrail,))
    few, many = (plan(log, effect, config).listeners for effect in (0.9, 0.3))
    assert few <= many
    with pytest.raises(AnalysisError, match="300 listeners find no effect"):
        plan(log, None, config, listeners=300)


def test_beyond_the_log_days_follow_from_the_latest_arrivals() -> None:
    planned = plan(arriving([400, 0, 20, 20]), 0.02, FREE)
    assert planned.log_listeners == 440
    assert planned.days == 4 + -(-(planned.listeners - 440) // 20)


def test_without_new_listeners_there_is_no_day() -> None:
    planned = plan(arriving([400, 0, 0, 0]), 0.001, FREE)
    assert planned.days is None
    assert "gains no new ones: it" in describe(planned).splitlines()[-1]


def test_a_metric_that_does_not_vary_is_refused() -> None:
    log = arriving([10, 10], "mean_time_per_session")
    ones = dict.fromkeys(log.moments.names, np.ones(LISTENERS))
    same = replace(log, moments=Moments.of(ones))
    with pytest.raises(AnalysisError, match="nothing to plan from"):
        plan(same, 0.1, FREE)


@pytest.mark.parametrize(
    ("text", "effect"), [("5%", 0.05), ("0.05", 0.05), ("-10%", -0.1), ("1e-2", 0.01)]
)
def test_effects_are_read_in_percent_or_shares(text: str, effect: float) -> None:
    assert parse_effect(text) == pytest.approx(effect)


@pytest.mark.parametrize("text", ["", "%", "five", "0", "0%", "nan", "-200%"])
def test_effects_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(AnalysisError, match="a share such as 5%"):
        parse_effect(text)


def test_a_bare_number_of_percent_is_asked_about() -> None:
    question = "effect 5: is 5 % meant? Write 5% or 0.05; 500% for 5 times the mean"
    with pytest.raises(AnalysisError, match=re.escape(question)):
        parse_effect("5")


def test_the_command_writes_what_it_says(
    log: Path, tmp_path: Path, printed: Run
) -> None:
    out = tmp_path / "plan.json"
    words = ("power", log, "--effect=50%", "--out", out)
    text = printed(*words)
    document = json.loads(out.read_bytes())
    size = f"{document['listeners']:,} listeners in all arms, {document['days']} days"
    assert f"takes {size}" in text
    assert document["log_listeners"] == LISTENERS
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(
        "{name: A, arms: [{recommender: a}, {recommender: b}, {recommender: c}],"
        " metrics: [time], guardrails: [{metric: sessions, margin_pct: 20}],"
        " planned_listeners: 900}"
    )
    printed(*words, "--experiment", experiment)
    document = json.loads(out.read_bytes())
    named = (document[key] for key in ("metric", "arms", "rule", "guardrails"))
    assert [*named] == ["time", 3, "fixed-horizon", ["sessions"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--effect", "x"], "effect x"),
        (["--effect", "5%", "--set", "primary=[latency_p99]"], "a quantile"),
        (["--effect", "5%", "--set", "power=1.5"], "power"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    log: Path, arguments: list[str], message: str, refusal: Run
) -> None:
    assert message in refusal("power", log, *arguments)
