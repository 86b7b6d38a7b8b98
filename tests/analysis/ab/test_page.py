"""The page of an A/B report: it stands alone and takes no name for markup."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import pytest

from analysis.ab import words
from analysis.ab.page import render
from analysis.ab.report import Report
from analysis.ab.verdict import Decision, Verdict
from analysis.statistics.effects import Interval
from tests.analysis.ab.samples import make_report
from tests.analysis.page.html import HOSTILE, Element, Parser, pictures, read_table


def parse(report: Report) -> Element:
    return Parser(render(report)).root


def bare(report: Report) -> Report:
    """A report without figures, which is rendered at once."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("effects", "segments", "preferences", "positions"), ()
    )
    waiting = Verdict("wait", None, "few listeners", 10)
    return replace(report, **nothing, span_ms=(0, 0), verdict=waiting)


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


def test_the_table_of_the_original_service_has_a_row_for_each_metric_and_arm(
    three_arms: Element,
) -> None:
    report = make_report(("C", "T1", "T2"))
    heading, *rows = read_table(three_arms, "original-table")
    assert heading[:-1] == [
        "Metric",
        "Arm",
        "Significant",
        "Effect",
        "Lower",
        "Upper",
        "C",
    ]
    assert [row[:2] for row in rows] == [
        [row.metric, row.arm] for row in report.original_table
    ]
    assert rows[0][2:] == ["yes", "+3.21 %", "+0.05 %", "+5.37 %", "61.23", "63.19"]


def test_what_decides_stands_before_everything_else_with_loud_guardrails(
    three_arms: Element,
) -> None:
    primary, guardrails = (
        read_table(three_arms, name) for name in ("primary-2", "guardrails-table")
    )
    arms = [row[0] for row in primary[1:]]
    assert arms == ["C random", "T1 model T1", "T2 model T2"]
    assert primary[2][2] == "+6.40 … +9.60 %"
    assert guardrails[0] == ["Guardrail", "Arm", "State", "Value"]
    states = [(row[0].partition(",")[0], *row[1:3]) for row in guardrails[1:]]
    for arm in ("T1", "T2"):
        assert ("Latency p99", arm, "✓ kept") in states
        assert ("Share of fallbacks +0.0002 allowed", arm, "! UNCLEAR") in states
    tables = [table.attributes.get("id") for table in three_arms.find("table")]
    assert tables[:3] == [
        "primary-1",
        "primary-2",
        "guardrails-table",
    ]


def test_interleaved_recommenders_and_segments_stand_below_what_decides(
    usual: Element,
) -> None:
    rows = read_table(usual, "interleaved-table")[1:]
    assert [row[1:3] for row in rows] == [["in_order", ""], ["top_pop", "preferred"]]
    assert rows[1][5:] == ["+5.00 %", "+2.00 … +8.00 %"]
    (shown,) = (
        text
        for text in (element.text for element in usual.find("summary"))
        if "by device" in text
    )
    assert shown == "Time per session of T1 by device"


def test_better_and_worse_follow_the_metric_and_not_the_sign(usual: Element) -> None:
    table = usual.find("table", id="metrics-table")[0]
    tones = {
        row.children[0].text: row.children[3].attributes["class"]
        for row in table.find("tr")[1:]
    }
    assert tones["Time per session"] == "number up"
    assert tones["Share of skips"] == "number up"  # fewer, which is better
    assert tones["Sessions"] == "number"


def test_a_wrong_sample_ratio_is_said_in_words() -> None:
    report = bare(make_report())
    page = parse(replace(report, srm=replace(report.srm, p_value=1e-9, mismatch=True)))
    assert read_table(page, "checks-table")[1][::2] == ["Sample ratio", "✕ wrong"]


def test_every_figure_is_described_and_has_its_numbers_on_the_page() -> None:
    arms = ["C", *(f"T{number}" for number in range(1, 8))]
    page = parse(make_report(arms, days=1))
    figures = page.find("figure")
    # all effects, and the positions
    assert (
        len(figures)
        == len(pictures(page) + page.find("div", **{"class": "forest"}))
        == 2
    )
    assert all(len(picture.attributes["aria-label"]) > 20 for picture in pictures(page))
    without = [
        figure.find("h3")[0].text for figure in figures if not figure.find("details")
    ]
    assert without == [
        "Primary and secondary metrics against C"
    ]  # the table of metrics has them
    assert all(
        len(table.find("tr")) > 1
        for figure in figures
        for table in figure.find("table")
    )


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
    assert read_table(page, "original-table")[1][1] == arms[1]


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
    effects = [replace(effect, **without) for effect in report.effects]
    page = parse(replace(report, effects=tuple(effects)))
    assert set(read_table(page, "metrics-table")[1][3:]) == {"\N{EN DASH}"}
    assert "None" not in page.text
    assert "nan" not in page.text


def test_an_experiment_of_one_arm_or_of_nobody_makes_a_page() -> None:
    report = make_report(arms=("C",))
    nobody = replace(
        report.srm,
        expected={"C": 0.0},
        observed={"C": 0},
        chi_square=None,
        p_value=None,
    )
    alone = replace(report, listeners={"C": 0}, sessions={"C": 0}, srm=nobody)
    page = parse(alone)
    assert page.find("div", id="verdict")[0].find("h2")[0].text == "Do not ship"
    assert read_table(page, "checks-table")[1][::2] == ["Sample ratio", "! look"]


def test_equal_reports_make_equal_pages(text: str) -> None:
    assert render(make_report()) == text


def test_intervals_are_named_by_their_level_and_the_original_ones_by_95_percent() -> (
    None
):
    page = parse(replace(bare(make_report()), alpha=0.005))
    words = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "about 99.5 % of such intervals contain the true effect" in words
    assert "s 95 % intervals in % of the mean of C" in words
