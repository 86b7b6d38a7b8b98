"""A whole report, computed by formula, to draw pages from."""

import math
from collections.abc import Sequence

from analysis.ab.effects import MetricEffect
from analysis.ab.events import DAY_MS
from analysis.ab.evidence import Quality
from analysis.ab.interleaving import Preference
from analysis.ab.report import Report
from analysis.ab.verdict import ArmVerdict, Verdict
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Interval
from analysis.statistics.sample_ratio import SampleRatio

_BEGIN_MS = 1_792_886_400_000  # 25 October 2026
_METRICS = (
    ("time_per_session", "Time per session", "primary", True, 4.0, 8.0, 1.6),
    ("time", "Listening time", "primary", True, 60.0, 6.0, 4.0),
    ("sessions", "Sessions", "secondary", True, 14.0, -0.4, 1.5),
    (
        "tracks_per_session",
        "Tracks per session",
        "secondary",
        True,
        6.4,
        3.4,
        1.1,
    ),
    ("skips", "Share of skips", "secondary", False, 0.31, -5.2, 2.3),
    ("latency_p99", "Latency p99, ms", "guardrail", False, 4.1, 1.1, 3.5),
    ("fallbacks", "Share of fallbacks", "guardrail", False, 0.004, 38.0, 61.0),
)


def around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def p_value(value: float, half: float) -> float:
    return math.erfc(abs(value) / half * 1.96 / math.sqrt(2))


def effects_of(arm: str, strength: float) -> list[MetricEffect]:
    found = []
    for name, label, role, higher, control, pct, half in _METRICS:
        change, is_guardrail = strength * pct, role == "guardrail"
        effect = MetricEffect(
            arm=arm,
            metric=name,
            label=label,
            role=role,  # type: ignore[arg-type]  # a literal that the table above spells
            higher_is_better=higher,
            control_value=control,
            arm_value=control * (1 + change / 100),
            effect=control * change / 100,
            lower=control * (change - half) / 100,
            upper=control * (change + half) / 100,
            relative=around(change, half),
            p_value=p_value(change, half),
            adjusted_p_value=min(1.0, 2 * p_value(change, half)),
            significant=abs(change) > 1.2 * half,
            past_explains=0.36 if name in {"time", "sessions"} else math.nan,
            margin=0.05 * control if is_guardrail else None,
            guardrail=("kept" if half < 5 else "unclear") if is_guardrail else None,
        )
        found.append(effect)
    return found


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
    control, treated = arms[0], arms[1:]
    strengths = {arm: 1.0 - 0.55 * number for number, arm in enumerate(treated)}
    counts = {arm: 5_003 - 17 * number for number, arm in enumerate(arms)}
    effects = [one for arm in treated for one in effects_of(arm, strengths[arm])]
    metrics = [name for name, *_ in _METRICS]
    effects.sort(key=lambda one: metrics.index(one.metric))
    return Report(
        experiment=experiment,
        control=control,
        alpha=0.05,
        span_ms=(_BEGIN_MS, _BEGIN_MS + (days - 1) * DAY_MS),
        fixed_horizon=None,
        min_listeners=200,
        min_days=7,
        smallest_effect_pct=0.0,
        is_final=False,
        preferences=(
            Preference(
                arms[-1],
                "in_order",
                "top_pop",
                900,
                around(5.0, 3.0),
                "top_pop",
            ),
        ),
        recommenders={
            arm: "random" if arm == control else f"model {arm}" for arm in arms
        },
        listeners=counts,
        sessions={arm: 14 * count for arm, count in counts.items()},
        lines=LineCounts(read=842_415, good=842_404, rejected=11),
        srm=SampleRatio(
            dict.fromkeys(arms, sum(counts.values()) / len(arms)), counts, 0.865
        ),
        verdict=Verdict(
            "ship" if treated else "do not ship",
            treated[0] if treated else None,
            "gain" if treated else "loss",
            arms=tuple(
                ArmVerdict(
                    arm,
                    None,
                    "time_per_session",
                    (),
                    outcome="beside" if number else "subject",
                )
                for number, arm in enumerate(treated)
            ),
        ),
        effects=tuple(effects),
        quality=Quality(
            events=842_404,
            dropped_events=1_930,
            broken_chains=3,
        ),
        rejected=(
            Reject(
                f"{text}log/events-1.json", 4_711, f"{text}not an object", 5, "[1,2]"
            ),
        ),
        sources=(f"{text}log/events-1.json", f"{text}log/events-2.json.gz"),
    )
