"""What speaks for and against an experiment, as rows of a table."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from analysis.ab.report import Report, Suspicion, Trust
from analysis.page import numbers

Tone = Literal["good", "wait", "bad"]


class Check(NamedTuple):
    """A question to the experiment, the answer in words, and how it speaks."""

    name: str
    finding: str = "none"
    tone: Tone = "good"


def list_checks(report: Report) -> list[Check]:
    """List all checks, the sample ratio first."""
    lines = report.lines
    rejected = _check_count("Lines that are no event", lines.rejected, lines.read - lines.blank, "lines")
    return [_check_ratio(report), rejected, *(_check_trust(report.trust) if report.trust else ())]


def _check_ratio(report: Report) -> Check:
    srm = report.srm
    if srm.p_value is None:
        return Check("Sample ratio", "there is one arm only", "wait")
    pairs = (f"{arm} {numbers.count(n)} of {numbers.count(srm.expected.get(arm))}" for arm, n in srm.observed.items())
    finding = f"p = {numbers.p_value(srm.p_value)}, wrong below {srm.threshold:g}; {', '.join(pairs)} expected"
    return Check("Sample ratio", finding, "bad" if srm.mismatch else "good")


def _check_trust(trust: Trust) -> Iterator[Check]:
    name, changing = "Listeners in more than one arm", trust.changing_listeners
    yield Check(name, f"{numbers.count(changing)}; they count in each", "wait") if changing else Check(name)
    yield from map(_check_suspicion, trust.suspicions)
    quality = trust.quality
    counts = {
        "Events in sessions that were not closed": quality.dropped_events,
        "Events without an arm": quality.outside,
        "Events that were logged twice": quality.duplicates,
        "Tracks that were not the recommended one": quality.broken_chains,
        "Events out of order, the clock having gone back": quality.clock_went_back,
        "Events without latency": quality.without_latency,
        "Requests that do not name the recommender": quality.without_recommender,
    }
    for name, found in counts.items():
        yield _check_count(name, found, quality.events, "events")


def _check_suspicion(suspicion: Suspicion) -> Check:
    if not any(suspicion.listeners.values()):
        return Check(suspicion.kind)
    by_arm = ", ".join(f"{arm} {numbers.count(listeners)}" for arm, listeners in suspicion.listeners.items())
    examples = f"; such as {', '.join(map(str, suspicion.examples))}" if suspicion.examples else ""
    return Check(suspicion.kind, f"listeners: {by_arm}{examples}", "wait")


def _check_count(name: str, found: int, total: int, things: str) -> Check:
    if not found:
        return Check(name)
    share = numbers.percent(100 * found / total) if total else numbers.NOTHING
    return Check(name, f"{numbers.count(found)} of {numbers.count(total)} {things}, {share}", "wait")
