"""The rules of the verdict, each by what is left when the rules before it do not apply."""

from typing import Any

import pytest

from analysis.ab.config import AbConfig, Role
from analysis.ab.data_quality import Quality, Trust
from analysis.ab.effects import MetricEffect, RelativeEffect
from analysis.ab.verdict import Decision, Evidence, decide
from analysis.logs.lines import LineCounts
from analysis.statistics.sample_ratio import SampleRatio

CONFIG = AbConfig(min_listeners=20, smallest_effect_pct=1)


def effect(
    arm: str = "T1",
    role: Role = "primary",
    pct: float = 5.0,
    half: float = 2.0,
    **changes: Any,  # noqa: ANN401  any value
) -> MetricEffect:
    """An effect with its interval, significant if that excludes 0."""
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
        "relative": RelativeEffect(pct, pct - half, pct + half, None),
        "p_value": None,
        "adjusted_p_value": None,
        "significant": abs(pct) > half,
        "mde_pct": 3.0,
        "cuped": None,
        "bootstrap": None,
        "mann_whitney_p": None,
        "margin": None,
        "guardrail": None,
    }
    return MetricEffect(**values | changes)


def evidence(*effects: MetricEffect, **changes: Any) -> Evidence:  # noqa: ANN401  any value
    """An experiment that nothing speaks against."""
    arms = dict.fromkeys(("C", *(one.arm for one in effects)), 1000)
    values: dict[str, Any] = {
        "is_aa": False,
        "listeners": arms,
        "lines": LineCounts(100, 100, 0, 0),
        "srm": SampleRatio(
            expected=dict(arms), observed=arms, chi_square=0.0, p_value=1.0, threshold=0.001, mismatch=False
        ),
        "trust": Trust(0, (), Quality(0, 0, 0, 0, 0, 0, 0, 0, 0), (), ()),
        "effects": effects,
        "timelines": (),
    }
    return Evidence(**values | changes)


BAD_RATIO = SampleRatio({"C": 1000, "T1": 1000}, {"C": 1200, "T1": 800}, 80.0, 1e-18, 0.001, mismatch=True)
BROKEN = effect(role="guardrail", pct=9.0, margin=1.0, guardrail="broken", higher_is_better=False)
UNCLEAR = effect(role="guardrail", pct=1.0, margin=1.0, guardrail="unclear", higher_is_better=False)
CHANGING = Trust(21, (), Quality(0, 0, 0, 0, 0, 0, 0, 0, 0), (), ())


@pytest.mark.parametrize(
    ("case", "decision", "arm"),
    [
        (evidence(effect()), "ship", "T1"),
        (evidence(effect(), srm=BAD_RATIO), "do not trust", None),
        (evidence(effect(), lines=LineCounts(100, 94, 6, 0)), "do not trust", None),
        (evidence(effect(), lines=LineCounts(100, 95, 5, 0)), "ship", "T1"),
        (evidence(effect(), trust=CHANGING), "do not trust", None),
        (evidence(effect(), is_aa=True), "do not trust", "T1"),
        (evidence(effect(pct=1), is_aa=True), "as expected", None),
        (evidence(effect(pct=1), is_aa=True, srm=BAD_RATIO), "do not trust", None),
        (evidence(effect(), listeners={"C": 1000, "T1": 19}), "not yet", None),
        (evidence(effect(), BROKEN), "do not ship", "T1"),
        (evidence(effect(), UNCLEAR), "ship", "T1"),
        (evidence(effect(pct=-5)), "do not ship", "T1"),
        (evidence(effect(pct=-5, higher_is_better=False)), "ship", "T1"),
        (evidence(effect(), effect(pct=-5)), "do not ship", "T1"),
        (evidence(effect(pct=1)), "not yet", "T1"),
        (evidence(effect(pct=0.5, half=0.4)), "do not ship", "T1"),
        (evidence(effect(pct=-0.1, half=0.4)), "do not ship", "T1"),
        (evidence(effect(), effect("T2", pct=8)), "ship", "T2"),
        (evidence(effect(pct=1), effect("T2", pct=-8)), "not yet", "T1"),
        (evidence(effect(pct=-4), effect("T2", pct=-8)), "do not ship", None),
        (
            evidence(effect(), effect("T2", pct=8), effect("T2", "guardrail", guardrail="broken", margin=0)),
            "ship",
            "T1",
        ),
        (evidence(effect(role="secondary")), "not yet", "T1"),
        (evidence(trust=None), "not yet", None),
        (evidence(trust=None, srm=BAD_RATIO), "do not trust", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_first_rule_that_applies_decides(case: Evidence, decision: Decision, arm: str | None) -> None:
    verdict = decide(case, CONFIG)
    assert (verdict.decision, verdict.arm) == (decision, arm)
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


def test_a_guardrail_that_may_be_broken_is_noted() -> None:
    assert any("Guardrail" in note for note in decide(evidence(effect(), UNCLEAR), CONFIG).notes)


def test_the_reason_names_the_effect_with_its_interval() -> None:
    assert "+5.00 % [+3.00, +7.00]" in decide(evidence(effect()), CONFIG).reason
