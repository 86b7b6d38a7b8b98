"""The page of an A/B report: it stands alone and takes no name for markup."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import pytest

from analysis.ab import words
from analysis.ab.config import AbConfig
from analysis.ab.page import render
from analysis.ab.report import Report
from analysis.ab.verdict import Decision, Verdict
from analysis.statistics.effects import Interval
from tests.analysis.ab.samples import make_report, with_evidence
from tests.analysis.page.html import HOSTILE, Element, Parser, read_table


def parse(report: Report) -> Element:
    return Parser(render(report)).root


def bare(report: Report) -> Report:
    """A report without figures, which is rendered at once."""
    waiting = replace(report, verdict=Verdict("wait", None, "few listeners", 10))
    return with_evidence(waiting, effects=(), preferences=(), span_ms=(0, 0))


@pytest.fixture(scope="module")
def text() -> str:
    """The page of a report with two arms."""
    return render(make_report())


@pytest.fixture(scope="module")
def usual(text: str) -> Element:
    return Parser(text).root


@pytest.fixture(scope="module")
def three_arms() -> Element:
    return parse(make_report(("C", "T1", "T2")))


def test_the_verdict_comes_first_with_its_reason(usual: Element) -> None:
    report, page = make_report(), usual
    verdict = page.find("div", id="verdict")[0]
    assert verdict.attributes["data-decision"] == "ship"
    narrow = "\N{NARROW NO-BREAK SPACE}"
    text = f"{words.headline(report)} {words.reason(report)}".replace(narrow, " ")
    assert verdict.text.replace(narrow, " ").startswith(text)
    assert all(warning in verdict.text for warning in words.warnings(report))
    main = page.find("main")[0]
    assert main.children.index(verdict) == 1  # after the heading


@pytest.mark.parametrize("decision", get_args(Decision))
def test_every_decision_has_its_colour(decision: Decision) -> None:
    report = bare(make_report())
    page = parse(replace(report, verdict=Verdict(decision, None, "rejected lines")))
    verdict = page.find("div", id="verdict")[0]
    assert set(verdict.attributes["class"].split()) & {"good", "bad", "wait", "calm"}


def test_every_arm_is_counted_and_loud_guardrails_stand_below(
    three_arms: Element,
) -> None:
    arms = [row[:2] for row in read_table(three_arms, "arms-table")[1:]]
    assert arms == [["C", "random"], ["T1", "model T1"], ["T2", "model T2"]]
    entries = [
        entry.text for entry in three_arms.find("ul", id="guardrails")[0].children
    ]
    for arm in ("T1", "T2"):
        kept = f"Latency p99, ms, may rise by at most 0.205: {arm} kept"
        assert any(entry.startswith(kept) for entry in entries)
        assert any(f"{arm} UNCLEAR 0.0040" in entry for entry in entries)


def test_interleaved_recommenders_stand_below_what_decides(
    usual: Element,
) -> None:
    (preference,) = (
        entry.text for entry in usual.find("li") if "interleaves" in entry.text
    )
    assert "top_pop is preferred" in preference
    assert "+5.00 % (+2.0 to +8.0 %)" in preference


def test_better_and_worse_follow_the_metric_and_not_the_sign(usual: Element) -> None:
    table = usual.find("table", id="metrics-table")[0]
    tones = {
        row.children[0].text: row.children[3].children[0].attributes["class"]
        for row in table.find("tr")[1:]
    }
    assert tones["Time per session"] == "state good"
    assert tones["Share of skips"] == "state good"  # fewer, which is better
    assert tones["Sessions"] == "state "


def test_each_primary_metric_is_a_figure_by_day_with_a_curve_and_band_an_arm() -> None:
    report = make_report(("C", "T1", "T2"))
    primary = [row for row in report.evidence.effects if row.role == "primary"]
    days = ("2026-10-25", "2026-10-26")
    by_day = tuple(replace(row, day=day) for day in days for row in primary)
    _, *figures = parse(with_evidence(report, by_day=by_day)).find("figure")
    titles = [figure.find("h3")[0].text for figure in figures]
    assert titles == ["By day: Time per session", "By day: Listening time"]
    figure = figures[1]
    assert [len(figure.find(shape)) for shape in ("polyline", "polygon")] == [2, 2]
    assert [label.text for label in figure.find("b")] == [*reversed(days)]
    assert "T1: +6.0 % (+2.0 to +10.0 %)" in figure.text.replace(
        "\N{NARROW NO-BREAK SPACE}", " "
    )
    # a single day is no curve, nor are days without an effect in %
    nothing = Interval(math.nan, math.nan, math.nan)
    unknown = tuple(replace(row, relative=nothing) for row in by_day)
    for rows in (by_day[:4], unknown):
        assert len(parse(with_evidence(report, by_day=rows)).find("figure")) == 1


def test_the_page_needs_nobody_else(text: str, usual: Element) -> None:
    assert "http://" not in text
    assert "https://" not in text
    assert (
        "url(" not in text
    )  # nor a clip path, whose name another figure of the page may have
    assert "@import" not in text
    names = {name for element in usual.walk() for name in element.attributes}
    assert not names & {"src", "xlink:href", "srcset", "action", "data"}
    assert not usual.find("script")
    targets = {element.attributes.get("id") for element in usual.walk()}
    links = [element.attributes["href"] for element in usual.find("a")]
    assert all(link.startswith("#") and link[1:] in targets for link in links)
    assert (
        "default-src 'none'"
        in usual.find("meta", **{"http-equiv": "Content-Security-Policy"})[
            0
        ].attributes["content"]
    )


def test_names_are_never_taken_for_markup(usual: Element) -> None:
    arms = (f"C{HOSTILE}", f"T{HOSTILE}")
    page = parse(make_report(arms=arms, experiment=HOSTILE, text=HOSTILE))
    assert Counter(element.tag for element in page.walk()) == Counter(
        element.tag for element in usual.walk()
    )
    used, known = (
        {name for element in tree.walk() for name in element.attributes}
        for tree in (page, usual)
    )
    assert used == known
    assert page.find("h1")[0].text == HOSTILE
    assert read_table(page, "arms-table")[2][0] == arms[1]


def test_identifiers_are_unique(three_arms: Element) -> None:
    found = Counter(
        element.attributes["id"]
        for element in three_arms.walk()
        if "id" in element.attributes
    )
    assert max(found.values()) == 1


def test_what_does_not_exist_is_shown_as_a_dash() -> None:
    report, nothing = make_report(days=3), Interval(*[math.nan] * 3)
    names = (
        "p_value",
        "control_value",
        "arm_value",
        "adjusted_p_value",
        "past_explains",
    )
    without: dict[str, Any] = dict.fromkeys(names, math.nan) | {"relative": nothing}
    effects = [replace(effect, **without) for effect in report.evidence.effects]
    page = parse(with_evidence(report, effects=tuple(effects)))
    assert set(read_table(page, "metrics-table")[1][3:]) == {"\N{EN DASH}"}
    assert "None" not in page.text
    assert "nan" not in page.text


def test_intervals_are_named_by_their_level() -> None:
    page = parse(replace(make_report(), config=AbConfig(alpha=0.005)))
    words = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "with 99.5 % intervals. For primary metrics they hold at any time" in words
