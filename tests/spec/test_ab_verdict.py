"""The rules of the verdict, each by what is left when the rules before it do not apply."""

from dataclasses import replace
from typing import Any

import pytest

from analysis.ab import words
from analysis.ab.__main__ import print_report
from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.effects import MetricEffect
from analysis.ab.evidence import Evidence, Quality
from analysis.ab.page import render
from analysis.ab.verdict import Decision, decide
from analysis.logs.lines import LineCounts
from analysis.page import numbers
from tests.analysis.ab.samples import conclude
from tests.analysis.ab.samples import make_effect as effect
from tests.analysis.ab.samples import make_evidence as evidence

CONFIG = AbConfig(min_listeners=20)


UNCLEAR = effect(
    role="guardrail", pct=1.0, margin=1.0, guardrail="unclear", higher_is_better=False
)
CHANGING = Quality(changing_listeners=21)


@pytest.mark.parametrize(
    ("case", "decision", "arm"),
    [
        (evidence(effect(), lines=LineCounts(100, 94, 6)), "do not trust", None),
        (evidence(effect(), lines=LineCounts(100, 95, 5)), "ship", "T1"),
        (evidence(effect(), quality=CHANGING), "do not trust", None),
        (evidence(effect(), UNCLEAR, is_final=True), "do not ship", "T1"),
        (evidence(effect(), effect(pct=-5)), "do not ship", "T1"),
        (evidence(effect(pct=1), effect("T2", pct=-8)), "wait", "T1"),
        (evidence(effect(pct=-4), effect("T2", pct=-8)), "do not ship", None),
        (
            evidence(
                effect(),
                effect("T2", pct=8),
                effect("T2", "guardrail", guardrail="broken", margin=0),
            ),
            "ship",
            "T1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_first_rule_that_applies_decides(
    case: Evidence, decision: Decision, arm: str | None
) -> None:
    verdict = decide(case, CONFIG)
    assert (verdict.decision, verdict.arm) == (decision, arm)
    assert said(case).endswith(".")
    assert "\n" not in said(case)


def said(case: Evidence, config: AbConfig = CONFIG) -> str:
    """What a verdict says, with plain spaces."""
    text = words.summary(conclude(case, config))
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace(numbers.MINUS, "-")


def test_waiting_says_how_long() -> None:
    case = evidence(effect(pct=1), expected_listeners=8000, span_ms=(0, 0))
    assert said(case).endswith("About 6,000 more listeners are needed.")
    planned = {"fixed_horizon": FixedHorizon(listeners=4000)}
    config = CONFIG.model_copy(update=planned)
    assert decide(case, config).more_listeners == 2000
    case = replace(case, expected_listeners=None)
    assert "Wait for more listeners." in said(case)


def limit(arm: str, pct: float, state: str) -> MetricEffect:
    """A guardrail that may fall by 10 %."""
    return effect(
        arm,
        "guardrail",
        pct=pct,
        half=12,
        label="sessions per listener",
        margin_pct=10.0,
        guardrail=state,
    )


def test_a_winner_ships_though_a_better_arm_may_break_a_guardrail() -> None:
    found = [effect("session", pct=6.43), effect("lists", pct=109.56, half=30)]
    found += [limit("session", 1, "kept"), limit("lists", -2, "unclear")]
    text = said(evidence(*found))
    assert text.startswith("Ship session. ")
    assert (
        "lists is better than C: 'Primary metric' +110 % (+80 to +140 %), 210 instead of"
        in text
    )


def test_every_arm_is_named_with_its_recommender_and_what_is_known_of_it() -> None:
    names = {
        "C": "random",
        "T3": "in_order",
        "T4": "fold_in",
        "T5": "latest",
        "T6": "mine",
    }
    values: dict[str, Any] = {
        "label": "listening time per session",
        "unit": "tracks",
        "control_value": 1.91,
        "arm_value": 3.67,
    }
    changes = {"T3": 92.0, "T4": 85.0, "T5": -30.0, "T6": 4.0}
    case = evidence(
        *(effect(arm, pct=pct, half=18, **values) for arm, pct in changes.items()),
        *(limit(arm, 0, "kept") for arm in changes if arm != "T6"),
        limit("T6", -40, "broken"),
        recommenders=names,
    )
    assert said(case) == (
        "Ship T3 (in_order). T3 (in_order) is better than C (random): 'Listening time per session' "
        "+92 % (+74 to +110 %), 3.67 instead of 1.91 tracks. T4 (fold_in) is better than C "
        "(random): 'Listening time per session' +85 % (+67 to +103 %), 3.67 instead of 1.91 "
        "tracks; against T3 (in_order): -9 to +2 %. T6 (mine) breaks a guardrail: 'Sessions per "
        "listener' -40 % (-52 to -28 %), which may fall by at most 10 %. T5 (latest) is worse "
        "than C (random): 'Listening time per session' -30 % (-48 to -12 %). Tests that stop "
        "at a win overstate the gain: plan with +74 %, the interval's end nearest to 0."
    )


def test_a_limit_is_said_in_its_own_unit() -> None:
    slow = effect(
        role="guardrail",
        label="latency",
        unit="ms",
        margin=50.0,
        guardrail="unclear",
        higher_is_better=False,
    )
    text = said(evidence(effect(), slow))
    assert (
        "but 'Latency' +5 ms (+3 to +7 ms) is unclear: it may rise by at most 50"
        in text
    )


def test_speed_that_no_request_has_by_itself_is_not_compared() -> None:
    kept = [
        effect(role="guardrail", metric=name, guardrail="kept", margin_pct=10.0)
        for name in ("returns", "time")
    ]
    report = conclude(evidence(effect(), *kept), AbConfig())
    (warning,) = words.warnings(report)
    assert warning == (
        "'99th percentile of latency' is not compared for T1: no request was answered by itself."
    )


def test_simulated_listeners_are_named_in_the_terminal_and_on_the_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = CONFIG.model_copy(update={"is_simulated": True})
    case = evidence(effect(), recommenders={"C": "a", "T1": "b"})
    report = conclude(case, config)
    print_report(report)
    for text in (capsys.readouterr().out, render(report)):
        assert "Simulated listeners: this shows" in text
