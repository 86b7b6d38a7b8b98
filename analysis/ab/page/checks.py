"""What speaks for and against an experiment, as lines of a table."""

from dataclasses import dataclass
from typing import Literal

from analysis.ab.report import Quality, Report, Suspicion, Trust
from analysis.page import numbers

Tone = Literal["good", "wait", "bad"]
_WORDS: dict[Tone, str] = {"good": "✓ fine", "wait": "! look", "bad": "✕ wrong"}


@dataclass(frozen=True)
class Check:
    """One question to the experiment.

    Attributes:
        name: What is asked.
        finding: The answer in words.
        tone: How it speaks.
    """

    name: str
    finding: str
    tone: Tone

    @property
    def word(self) -> str:
        """How it speaks, for people."""
        return _WORDS[self.tone]


def list_checks(report: Report) -> list[Check]:
    """All checks, the sample ratio first."""
    return [_check_ratio(report), _check_lines(report), *(_check_trust(report.trust) if report.trust else ())]


def _check_ratio(report: Report) -> Check:
    srm = report.srm
    if srm.p_value is None:
        return Check("Sample ratio", "there is one arm only", "wait")
    pairs = (f"{arm} {numbers.count(n)} of {numbers.count(srm.expected.get(arm))}" for arm, n in srm.observed.items())
    finding = f"p = {numbers.p_value(srm.p_value)}, wrong below {srm.threshold:g}; {', '.join(pairs)} expected"
    return Check("Sample ratio", finding, "bad" if srm.mismatch else "good")


def _check_lines(report: Report) -> Check:
    lines = report.lines
    return _count_of("Lines that are no event", lines.rejected, lines.read - lines.blank, "lines")


def _check_trust(trust: Trust) -> list[Check]:
    changing = trust.changing_listeners
    finding = f"{numbers.count(changing)}; they count in each" if changing else "none"
    in_several = Check("Listeners in more than one arm", finding, "wait" if changing else "good")
    return [in_several, *map(_check_suspicion, trust.suspicions), *_check_quality(trust.quality)]


def _check_suspicion(suspicion: Suspicion) -> Check:
    total = sum(suspicion.listeners.values())
    if not total:
        return Check(suspicion.kind, "none", "good")
    by_arm = ", ".join(f"{arm} {numbers.count(listeners)}" for arm, listeners in suspicion.listeners.items())
    examples = f"; such as {', '.join(map(str, suspicion.examples))}" if suspicion.examples else ""
    return Check(suspicion.kind, f"listeners: {by_arm}{examples}", "wait")


def _check_quality(quality: Quality) -> list[Check]:
    counts = {
        "Events in sessions that were not closed": quality.dropped_events,
        "Events without an arm": quality.outside,
        "Events that were logged twice": quality.duplicates,
        "Tracks that were not the recommended one": quality.broken_chains,
        "Events out of order, the clock having gone back": quality.clock_went_back,
        "Events without latency": quality.without_latency,
        "Requests that do not say who recommended": quality.without_recommender,
    }
    return [_count_of(name, count, quality.events, "events") for name, count in counts.items()]


def _count_of(name: str, count: int, total: int, things: str) -> Check:
    if not count:
        return Check(name, "none", "good")
    share = numbers.percent(100 * count / total) if total else numbers.NOTHING
    return Check(name, f"{numbers.count(count)} of {numbers.count(total)} {things}, {share}", "wait")
