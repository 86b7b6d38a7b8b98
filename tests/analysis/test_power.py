"""Planning an experiment from a log: listeners, days, and the command."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.interim import InterimAnalysis
from analysis.ab.metrics import METRICS
from analysis.errors import AnalysisError
from analysis.power import PastLog, describe, parse_effect, plan
from looplib.experiments import Guardrail
from looplib.randomness import make_generator
from tests.analysis.ab.logs import experiment, write
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


def arriving(per_day: Sequence[int]) -> PastLog:
    """A log of `time` and `sessions`, which depend on each other, with so many listeners a day."""
    metrics = [METRICS[name] for name in ("time", "sessions")]
    covariances = np.array([[0.09, 0.03], [0.03, 0.04]])
    return PastLog(metrics, np.array([10.0, 3.0]), covariances, np.array(per_day))


CONFIG, FREE = (
    AbConfig(
        primary=("time",),
        guardrails=(Guardrail(metric="sessions", margin_pct=margin),),
        min_listeners=2,
    )
    for margin in (3, 90)
)
HORIZON = {"fixed_horizon": FixedHorizon(listeners=1)}
EFFECT = 0.05


def shipped(log: PastLog, config: AbConfig, arms: int, listeners: float) -> float:
    """The share of 10,000 simulated experiments that are shipped, analysed day by day."""
    days = log.days_until(listeners)
    assert days
    shares = np.arange(1, days + 1) / days
    margin = -np.log1p(-(config.guardrails[0].margin_pct or 0) / 100)
    deviations = np.sqrt(log.covariances.diagonal())
    growth = np.array([1 + EFFECT, 1])
    errors = deviations * np.sqrt(arms / listeners * (1 + growth**2))
    levels = (config.alpha / (arms - 1), config.alpha)
    expecting = config.model_copy(update={"expected_listeners": 1})
    bounds = [
        [InterimAnalysis(expecting, share).errors(level, share) for level in levels]
        for share in shares.tolist()
    ]
    correlations = log.covariances / np.outer(deviations, deviations)
    steps = make_generator(5, "plan").multivariate_normal(
        np.zeros(2), correlations, (10_000, days)
    )
    means = np.array([EFFECT, margin]) / errors
    times = np.sqrt(shares)[:, np.newaxis]
    paths = steps.cumsum(axis=1) / np.sqrt(days) / times + means * times
    wins = (paths >= bounds).all(axis=2)
    decided = wins[:, 1:] if config.fixed_horizon else wins[:, 1:] & wins[:, :-1]
    return float(decided[:, config.min_days - 2 :].any(axis=1).mean())


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("rule", [{}, HORIZON], ids=["any time", "horizon"])
@pytest.mark.parametrize("config", [FREE, CONFIG], ids=["free", "guarded"])
def test_the_size_is_within_a_tenth_of_what_the_rule_takes(
    arms: int, rule: dict[str, FixedHorizon], config: AbConfig
) -> None:
    log = arriving([50] * 20)
    config = config.model_copy(update=rule)
    planned = plan(log, config, effect=EFFECT, arms=arms)
    fewer, more = (
        shipped(log, config, arms, planned.listeners * f) for f in (0.9, 1.1)
    )
    assert fewer < config.power < more


def test_more_listeners_find_smaller_effects_and_the_size_of_an_effect_finds_it() -> (
    None
):
    log = arriving([3000, 10])
    sizes = [
        plan(log, CONFIG, effect=effect).listeners
        for effect in (0.03, 0.05, 0.1, 0.15, 0.2)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert plan(log, CONFIG, listeners=sizes[0]).effect == pytest.approx(0.03, abs=1e-4)


def test_the_day_is_the_first_on_which_enough_listeners_have_come() -> None:
    planned = plan(arriving([200] * 20), FREE, effect=0.05)
    assert planned.days is not None
    assert 7 < planned.days < 20
    assert 200 * (planned.days - 1) < planned.listeners <= 200 * planned.days
    assert plan(arriving([9000] * 20), FREE, effect=0.05).days == FREE.min_days


def test_shares_are_of_the_arms_that_they_name_in_any_order() -> None:
    log = arriving([100] * 20)
    shares = [{"C": 80.0, "T1": 10.0}, {"T1": 10.0, "C": 80.0}, {"T1": 80.0, "C": 10.0}]
    needed = [
        plan(log, FREE.model_copy(update={"shares": by_arm}), effect=0.05)
        for by_arm in shares
    ]
    assert needed[0] == needed[1] != needed[2]


def test_guardrails_set_the_size_of_large_effects() -> None:
    log = arriving([300])
    assert plan(log, FREE, effect=0.9).listeners < 100
    few, many = (plan(log, CONFIG, effect=effect).listeners for effect in (0.9, 0.5))
    assert 400 < few <= many
    with pytest.raises(AnalysisError, match="300 listeners find no effect"):
        plan(log, CONFIG, listeners=300)


def test_beyond_the_log_days_follow_from_the_latest_arrivals() -> None:
    planned = plan(arriving([400, 0, 20, 20]), FREE, effect=0.02)
    assert planned.log_listeners == 440
    assert planned.days == 4 + -(-(planned.listeners - 440) // 20)
    # no day is enough if no new listeners come
    planned = plan(arriving([400, 0, 0, 0]), FREE, effect=0.001)
    assert planned.days is None
    assert "gains no new ones: it" in describe(planned).splitlines()[-1]


def test_constant_metrics_are_kept_as_guardrails_and_refused_as_primary() -> None:
    values, ones = np.arange(1.0, 101.0), np.ones(100)
    names = [METRICS[name] for name in ("time", "sessions")]
    log = PastLog.of(names, [(values, ones), (ones, ones)], np.full(9, 100.0))
    assert plan(log, CONFIG, effect=0.1) == plan(log, FREE, effect=0.1)
    same = PastLog.of(names, [(ones, ones), (values, ones)], np.full(9, 100.0))
    with pytest.raises(AnalysisError, match="nothing to plan from"):
        plan(same, CONFIG, effect=0.1)


@pytest.mark.parametrize(
    ("text", "effect"), [("5%", 0.05), ("0.05", 0.05), ("-10%", -0.1), ("1e-2", 0.01)]
)
def test_effects_are_read_in_percent_or_shares(text: str, effect: float) -> None:
    assert parse_effect(text) == pytest.approx(effect)


QUESTION = r"effect 5: is 5 % meant\? Write 5% or 0.05; 500% for 5 times the mean"


@pytest.mark.parametrize("text", ["5", "", "%", "five", "0", "0%", "nan", "-200%"])
def test_effects_that_are_none_are_refused_and_a_bare_number_is_asked_about(
    text: str,
) -> None:
    message = QUESTION if text == "5" else "a share such as 5%"
    with pytest.raises(AnalysisError, match=message):
        parse_effect(text)


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
