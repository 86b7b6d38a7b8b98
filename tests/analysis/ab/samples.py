"""Evidence and whole reports, computed by formula."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analysis.ab.config import AbConfig, Role
from analysis.ab.effects import MetricEffect, Preference
from analysis.ab.evidence import DAY_MS, Evidence, Quality
from analysis.ab.report import Report
from analysis.ab.verdict import ArmVerdict, Verdict, decide
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Interval
from analysis.statistics.sample_ratio import SampleRatio

_BEGIN_MS = 1_792_886_400_000  # 25 October 2026
# label, role, whether more is better, the control's value, the change and half its interval in %
_METRICS: dict[str, tuple[str, Role, bool, float, float, float]] = {
    "time_per_session": ("Time per session", "primary", True, 4.0, 8.0, 1.6),
    "time": ("Listening time", "primary", True, 60.0, 6.0, 4.0),
    "sessions": ("Sessions", "secondary", True, 14.0, -0.4, 1.5),
    "tracks_per_session": ("Tracks per session", "secondary", True, 6.4, 3.4, 1.1),
    "skips": ("Share of skips", "secondary", False, 0.31, -5.2, 2.3),
    "latency_p99": ("Latency p99, ms", "guardrail", False, 4.1, 1.1, 3.5),
    "fallbacks": ("Share of fallbacks", "guardrail", False, 0.004, 38.0, 61.0),
}


def make_effect(
    arm: str = "T1",
    role: Role = "primary",
    pct: float = 5.0,
    half: float = 2.0,
    control: float = 100.0,
    **changes: Any,  # noqa: ANN401  any value
) -> MetricEffect:
    """An effect with its interval, significant if that excludes 0."""
    change = Interval(pct, pct - half, pct + half)
    values: dict[str, Any] = {
        "metric": f"{role} metric",
        "label": f"{role} metric",
        "higher_is_better": True,
        "control_value": control,
        "arm_value": control * (1 + pct / 100),
        "absolute": change.scaled(control / 100),
        "relative": change,
        "p_value": 1e-9 if abs(pct) > half else 0.5,
        "significant": abs(pct) > half,
    }
    return MetricEffect(arm=arm, role=role, **values | changes)


def make_evidence(*effects: MetricEffect, **changes: Any) -> Evidence:  # noqa: ANN401  any value
    """An experiment that nothing speaks against."""
    arms = dict.fromkeys(("C", *(effect.arm for effect in effects)), 1000)
    values: dict[str, Any] = {
        "listeners": arms,
        "sessions": changes.get("listeners", arms),
        "lines": LineCounts(100, 100, 0),
        "srm": SampleRatio({**arms}, arms, 1.0),
        "between": {arm: dict.fromkeys(arms, Interval(-4, -9, 2)) for arm in arms},
        "effects": effects,
        "span_ms": (0, 10 * DAY_MS),
    }
    return Evidence(**values | changes)


def conclude(evidence: Evidence, config: AbConfig) -> Report:
    """A report on evidence."""
    return Report("ALS", config, evidence, decide(evidence, config), ())


def with_evidence(report: Report, **changes: Any) -> Report:  # noqa: ANN401  any value
    """The report with other evidence."""
    return replace(report, evidence=replace(report.evidence, **changes))


def make_report(
    arms: Sequence[str] = ("C", "T1"),
    experiment: str = "ALS",
    days: int = 14,
    text: str = "",
) -> Report:
    """A report of an experiment.

    Args:
        arms: The control first.
        experiment: Its name.
        days: How many it ran.
        text: Put into every free text.
    """
    control, *treated = arms
    effects = []
    for name, (label, role, higher, value, pct, half) in _METRICS.items():
        changes: dict[str, Any] = {"label": label, "higher_is_better": higher}
        if role == "guardrail":  # which may get worse by 5 %
            state = "kept" if half < 5 else "unclear"
            changes |= {"margin": 0.05 * value, "guardrail": state}
        for number, arm in enumerate(treated):
            change = (1.0 - 0.55 * number) * pct
            effect = make_effect(arm, role, change, half, value, metric=name, **changes)
            effects.append(effect)
    counts = {arm: 5_003 - 17 * number for number, arm in enumerate(arms)}
    preferred = Interval(5.0, 2.0, 8.0)
    evidence = make_evidence(
        *effects,
        listeners=counts,
        recommenders={control: "random"} | {arm: f"model {arm}" for arm in treated},
        lines=LineCounts(read=842_415, good=842_404, rejected=11),
        srm=SampleRatio({**counts}, counts, 0.865),
        span_ms=(_BEGIN_MS, _BEGIN_MS + (days - 1) * DAY_MS),
        quality=Quality(events=842_404, dropped_events=1_930, broken_chains=3),
        rejected=(
            Reject(
                f"{text}log/events-1.json", 4_711, f"{text}not an object", 5, "[1,2]"
            ),
        ),
        preferences=(
            Preference(arms[-1], "in_order", "top_pop", preferred, "top_pop"),
        ),
    )
    sources = (f"{text}log/events-1.json", f"{text}log/events-2.json.gz")
    primary = ("time_per_session", "time")
    config = AbConfig(control=control, primary=primary, guardrails=())
    rows = (ArmVerdict(arm, None, "time_per_session", ()) for arm in treated)
    verdict = Verdict("ship", treated[0], "gain", arms=tuple(rows))
    return Report(experiment, config, evidence, verdict, sources)
