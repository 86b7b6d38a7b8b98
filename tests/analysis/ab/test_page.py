"""The page of a report: it stands alone, says what the report says, and takes no name for markup."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import get_args

import pytest

from analysis.ab.page.page import render
from analysis.ab.report import Decision, Interval, Report
from tests.analysis.ab.page_samples import make_report

HOSTILE = "</text></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """An element of a page, and what is in it."""

    tag: str
    attributes: dict[str, str]
    contents: "list[Element | str]" = field(default_factory=list)

    @property
    def children(self) -> "list[Element]":
        return [one for one in self.contents if isinstance(one, Element)]

    def walk(self) -> "Iterator[Element]":
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, tag: str, **attributes: str) -> "list[Element]":
        wanted = attributes.items()
        return [one for one in self.walk() if one.tag == tag and all(one.attributes.get(k) == v for k, v in wanted)]

    @property
    def text(self) -> str:
        parts = (one.text if isinstance(one, Element) else one for one in self.contents)
        return " ".join("".join(parts).split())


class Parser(HTMLParser):
    """Builds the tree, and fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.path = [self.root]
        self.feed(page)
        assert self.path == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.path[-1].contents.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.path[-1].contents.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.path[-1].contents.append(data)


def parse(report: Report) -> Element:
    return Parser(render(report)).root


def read_table(page: Element, name: str) -> list[list[str]]:
    table = page.find("table", id=name)[0]
    return [[cell.text for cell in row.children] for row in table.find("tr")]


def test_the_verdict_comes_first_with_its_reason() -> None:
    report = make_report()
    page = parse(report)
    verdict = page.find("div", id="verdict")[0]
    assert verdict.attributes["data-decision"] == "ship"
    assert verdict.text.startswith(f"Ship: T1 {report.verdict.reason}")
    assert all(note in verdict.text for note in report.verdict.notes)
    main = page.find("main")[0]
    assert main.children.index(verdict) == 1  # after the heading


@pytest.mark.parametrize("decision", get_args(Decision))
def test_every_decision_has_its_colour(decision: Decision) -> None:
    report = make_report()
    page = parse(replace(report, verdict=replace(report.verdict, decision=decision, arm=None)))
    verdict = page.find("div", id="verdict")[0]
    assert set(verdict.attributes["class"].split()) & {"good", "bad", "wait", "calm"}
    assert verdict.find("h2")[0].text == decision.capitalize()


def test_the_courses_table_has_a_row_for_each_metric_and_arm() -> None:
    report = make_report(arms=("C", "T1", "T2"))
    heading, *rows = read_table(parse(report), "course-table")
    assert heading == [
        "Metric",
        "Arm",
        "Effect",
        "Lower",
        "Upper",
        "C",
        "Arm\N{RIGHT SINGLE QUOTATION MARK}s mean",
        "Significant",
    ]
    assert [row[:2] for row in rows] == [[row.metric, row.arm] for row in report.course_table]
    assert rows[0][2:] == ["+3.21 %", "+0.05 %", "+5.37 %", "61.23", "63.19", "yes"]


def test_the_arms_of_a_metric_stand_together() -> None:
    rows = read_table(parse(make_report(arms=("C", "T1", "T2"))), "metrics-table")[1:]
    assert [row[:2] for row in rows[:4]] == [
        ["Time per session", "T1"],
        ["Time per session", "T2"],
        ["Listening time", "T1"],
        ["Listening time", "T2"],
    ]


def test_better_and_worse_follow_the_metric_and_not_the_sign() -> None:
    table = parse(make_report()).find("table", id="metrics-table")[0]
    tones = {row.children[0].text: row.children[2].attributes["class"] for row in table.find("tr")[1:]}
    assert tones["Time per session"] == "number up"
    assert tones["Share of skips"] == "number up"  # fewer, which is better
    assert tones["Sessions"] == "number"


def test_a_wrong_sample_ratio_is_said_in_words() -> None:
    report = make_report()
    page = parse(replace(report, srm=replace(report.srm, p_value=1e-9, mismatch=True)))
    assert read_table(page, "checks-table")[1][::2] == ["Sample ratio", "✕ wrong"]


@pytest.mark.parametrize("days", [1, 2, 14, 90])
@pytest.mark.parametrize("arms", [("C", "T1"), ("C", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8")])
def test_every_picture_is_described_and_has_its_numbers_beneath(arms: tuple[str, ...], days: int) -> None:
    page = parse(make_report(arms=arms, days=days))
    figures = page.find("figure")
    # A forest, two metrics by day and arm, balance, exposure, two distributions and the positions.
    assert len(figures) == 1 + 2 * (len(arms) - 1) + 5
    for figure in figures:
        pictures = [one for one in figure.walk() if one.attributes.get("role") == "img"]
        assert len(pictures) == 1
        assert len(pictures[0].attributes["aria-label"]) > 20
        assert len(figure.find("details")[0].find("tr")) > 1


def test_places_are_numbers() -> None:
    for points in re.findall(r'points="([^"]*)"', render(make_report(days=30))):
        assert points
        assert all(re.fullmatch(r"-?[\d.]+(e[+-]\d+)?,-?[\d.]+(e[+-]\d+)?", pair) for pair in points.split())


def test_the_page_needs_nobody_else() -> None:
    text, page = render(make_report()), parse(make_report())
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    names = {name for element in page.walk() for name in element.attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "action", "data"}
    assert not page.find("script")
    assert (
        "default-src 'none'" in page.find("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"]
    )


def test_names_are_never_taken_for_markup() -> None:
    arms = (f"C{HOSTILE}", f"T{HOSTILE}")
    page = parse(make_report(arms=arms, experiment=HOSTILE, text=HOSTILE))
    plain = parse(make_report())
    assert Counter(one.tag for one in page.walk()) == Counter(one.tag for one in plain.walk())
    assert {name for one in page.walk() for name in one.attributes} == {
        n for one in plain.walk() for n in one.attributes
    }
    assert page.find("h1")[0].text == HOSTILE
    assert read_table(page, "course-table")[1][1] == arms[1]


def test_identifiers_are_unique() -> None:
    found = Counter(
        one.attributes["id"] for one in parse(make_report(arms=("C", "T1", "T2"))).walk() if "id" in one.attributes
    )
    assert max(found.values()) == 1


def test_what_does_not_exist_is_shown_as_a_dash() -> None:
    report, nothing = make_report(days=3), Interval(None, None, None, None)
    effects = tuple(
        replace(
            one,
            control_value=None,
            arm_value=None,
            relative=nothing,
            p_value=None,
            adjusted_p_value=None,
            mde_pct=None,
            cuped=None,
            bootstrap=None,
        )
        for one in report.effects
    )
    days = [
        replace(
            line, days=tuple(replace(day, daily=nothing, cumulative=nothing, sequential=nothing) for day in line.days)
        )
        for line in report.timelines
    ]
    page = parse(replace(report, effects=effects, timelines=tuple(days)))
    assert set(read_table(page, "metrics-table")[1][2:-1]) == {"\N{EN DASH}"}
    assert "None" not in page.text
    assert "nan" not in page.text


def test_the_table_alone_makes_a_page_too() -> None:
    report = replace(
        make_report(),
        effects=(),
        timelines=(),
        distributions=(),
        positions=(),
        trust=None,
        first_day=None,
        last_day=None,
    )
    page = parse(report)
    assert len(read_table(page, "course-table")) == 6
    assert [figure.find("h3")[0].text for figure in page.find("figure")] == ["Assignment balance"]


def test_an_experiment_of_one_arm_or_of_nobody_makes_a_page() -> None:
    report = make_report(arms=("C",))
    nobody = replace(report.srm, expected={"C": 0.0}, observed={"C": 0}, chi_square=None, p_value=None)
    alone = replace(report, listeners={"C": 0}, sessions={"C": 0}, srm=nobody)
    page = parse(alone)
    assert page.find("div", id="verdict")[0].find("h2")[0].text == "Ship"
    assert read_table(page, "checks-table")[1][1] == "there is one arm only"


def test_equal_reports_make_equal_pages() -> None:
    assert render(make_report()) == render(make_report())
