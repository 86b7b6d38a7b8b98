"""The rules of the verdict, each by what is left when the rules before it do not apply."""

import math
from typing import Any

import pytest

from analysis.ab.config import AbConfig, Horizon, Role
from analysis.ab.effects import Deciding, MetricEffect, RelativeEffect
from analysis.ab.parts.data_quality import Quality, Trust
from analysis.ab.tables import DAY_MS
from analysis.ab.verdict import Decision, Evidence, decide
from analysis.logs.lines import LineCounts
from analysis.statistics.sample_ratio import SampleRatio

CONFIG = AbConfig(min_listeners=20, smallest_effect_pct=1)
SAME_ARMS = CONFIG.model_copy(update={"aa": True})
NO_FAULTS = Quality()


def effect(
    arm: str = "T1",
    role: Role = "primary",
    pct: float = 5.0,
    half: float = 2.0,
    **changes: Any,  # noqa: ANN401  any value
) -> MetricEffect:
    """An effect with its interval, significant if that excludes 0."""
    relative = RelativeEffect(
        pct, pct - half, pct + half, 1e-9 if abs(pct) > half else 0.5
    )
    values: dict[str, Any] = {
        "arm": arm,
        "metric": f"{role} metric",
        "label": "",
        "role": role,
        "method": "mean",
        "higher_is_better": True,
        "control_value": 100.0,
        "arm_value": 100.0 + pct,
        "effect": pct,
        "lower": pct - half,
        "upper": pct + half,
        "relative": relative,
        "deciding": Deciding(pct - half, pct + half, relative),
        "p_value": relative.p_value,
        "adjusted_p_value": math.nan,
        "significant": abs(pct) > half,
        "mde_pct": 3.0,
        "margin": None,
        "guardrail": None,
    }
    return MetricEffect(**values | changes)


def evidence(*effects: MetricEffect, **changes: Any) -> Evidence:  # noqa: ANN401  any value
    """An experiment that nothing speaks against."""
    arms = dict.fromkeys(("C", *(effect.arm for effect in effects)), 1000)
    values: dict[str, Any] = {
        "listeners": arms,
        "lines": LineCounts(100, 100, 0),
        "srm": SampleRatio(
            expected=dict(arms),
            observed=arms,
            chi_square=0.0,
            p_value=1.0,
            threshold=0.001,
            mismatch=False,
        ),
        "trust": Trust(0, NO_FAULTS, ()),
        "effects": effects,
        "span_ms": (0, 10 * DAY_MS),
    }
    return Evidence(**values | changes)


BAD_RATIO = SampleRatio(
    {"C": 1000, "T1": 1000}, {"C": 1200, "T1": 800}, 80.0, 1e-18, 0.001, mismatch=True
)
BROKEN = effect(
    role="guardrail", pct=9.0, margin=1.0, guardrail="broken", higher_is_better=False
)
UNCLEAR = effect(
    role="guardrail", pct=1.0, margin=1.0, guardrail="unclear", higher_is_better=False
)
KEPT = effect(
    role="guardrail", pct=-1.0, margin=1.0, guardrail="kept", higher_is_better=False
)
CHANGING = Trust(21, NO_FAULTS, ())


@pytest.mark.parametrize(
    ("case", "decision", "arm"),
    [
        (evidence(effect()), "ship", "T1"),
        (evidence(effect(), srm=BAD_RATIO), "do not trust", None),
        (evidence(effect(), lines=LineCounts(100, 94, 6)), "do not trust", None),
        (evidence(effect(), lines=LineCounts(100, 95, 5)), "ship", "T1"),
        (evidence(effect(), trust=CHANGING), "do not trust", None),
        (evidence(effect(), listeners={"C": 1000, "T1": 19}), "wait", None),
        (evidence(effect(), BROKEN), "do not ship", "T1"),
        (evidence(effect(), UNCLEAR), "wait", "T1"),
        (evidence(effect(), KEPT), "ship", "T1"),
        (evidence(effect(), UNCLEAR, at_horizon=True), "do not ship", "T1"),
        (evidence(effect(pct=1), at_horizon=True), "do not ship", "T1"),
        (evidence(effect(pct=-5)), "do not ship", "T1"),
        (evidence(effect(pct=-5, higher_is_better=False)), "ship", "T1"),
        (evidence(effect(), effect(pct=-5)), "do not ship", "T1"),
        (evidence(effect(pct=1)), "wait", "T1"),
        (evidence(effect(pct=0.5, half=0.4)), "do not ship", "T1"),
        (evidence(effect(pct=-0.1, half=0.4)), "do not ship", "T1"),
        (evidence(effect(), effect("T2", pct=8)), "ship", "T2"),
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
        (evidence(effect(role="secondary")), "wait", "T1"),
        (evidence(trust=None), "wait", None),
        (evidence(trust=None, srm=BAD_RATIO), "do not trust", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_first_rule_that_applies_decides(
    case: Evidence, decision: Decision, arm: str | None
) -> None:
    verdict = decide(case, CONFIG)
    assert (verdict.decision, verdict.arm) == (decision, arm)
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(
    ("case", "decision", "arm"),
    [
        (evidence(effect()), "do not trust", "T1"),
        (evidence(effect(pct=1)), "as expected", None),
        (evidence(effect(role="secondary")), "wait", None),
        (evidence(effect(pct=1), srm=BAD_RATIO), "do not trust", None),
    ],
)
def test_arms_that_are_the_same_must_not_differ(
    case: Evidence, decision: Decision, arm: str | None
) -> None:
    verdict = decide(case, SAME_ARMS)
    assert (verdict.decision, verdict.arm) == (decision, arm)


def test_a_guardrail_that_may_be_broken_is_the_reason_to_wait() -> None:
    verdict = decide(evidence(effect(), UNCLEAR), CONFIG)
    assert "guardrail metric may be worse than its margin" in verdict.reason


def test_waiting_says_how_long() -> None:
    verdict = decide(evidence(effect(pct=1)), CONFIG)
    assert verdict.more_listeners is not None
    assert 2000 < verdict.more_listeners < 20_000
    assert f"about {verdict.more_listeners:,} more listeners" in verdict.reason
    assert "days at the pace so far" in verdict.reason
    # no times known
    assert (
        "listeners are needed, if the effect stays as it is."
        in decide(evidence(effect(pct=1), span_ms=(0, 0)), CONFIG).reason
    )
    horizon = CONFIG.model_copy(update={"horizon": Horizon(listeners=4000)})
    assert (
        "wait for the horizon, 4,000 listeners"
        in decide(evidence(effect(pct=1)), horizon).reason
    )
    assert "no end is in sight" in decide(evidence(effect(pct=0.01)), AbConfig()).reason


def test_of_several_winners_the_one_with_the_largest_effect_is_shipped() -> None:
    verdict = decide(evidence(effect(), effect("T2", pct=6)), CONFIG)
    assert verdict.arm == "T2"
    assert verdict.reason.endswith("also winning, with a smaller effect: T1.")


def test_sound_arms_that_are_the_same_raise_an_alarm_in_one_of_a_thousand() -> None:
    chance = effect(p_value=0.002)
    assert chance.significant
    assert decide(evidence(chance), SAME_ARMS).decision == "as expected"


def test_the_reason_names_the_effect_with_its_interval() -> None:
    reason = decide(evidence(effect()), CONFIG).reason
    assert "+5.00 % (+3.00 … +7.00 %)" in reason.replace(
        "\N{NARROW NO-BREAK SPACE}", " "
    )
