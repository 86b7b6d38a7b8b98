"""Charts by their specs, and each kind once as SVG: what is drawn, named and coloured."""

import re

import altair as alt
import pytest

from analysis.charts import (
    WIDTH,
    Point,
    arm_colour,
    draw_lines,
    to_svg,
)
from tests.analysis.page.html import HOSTILE, Parser

BLUE = arm_colour(1)
COLOURS = {"C": arm_colour(0), "T1": BLUE}
KINDS: dict[str, tuple[alt.LayerChart, set[str]]] = {
    "lines": (
        draw_lines(
            [Point(arm, x, x, x - 1, x + 1) for arm in COLOURS for x in (1, 2)],
            COLOURS,
            "x",
            "y",
        ),
        {"C", "T1", "x", "y"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_described_svg_whose_texts_are_text_and_whose_colours_are_the_pages(
    kind: str,
) -> None:
    chart, texts = KINDS[kind]
    chart.to_dict()  # altair's own check of the spec
    (svg,) = Parser(to_svg(chart, "what is seen & how")).root.children
    assert (svg.tag, svg.attributes["role"], svg.attributes["aria-label"]) == (
        "svg",
        "img",
        "what is seen & how",
    )
    assert texts <= {text.text for text in svg.find("text")}
    named = [
        element.attributes.get(name, "none")
        for element in svg.walk()
        for name in ("fill", "stroke")
    ]
    assert {colour for colour in named if not colour.startswith("var(--")} <= {
        "none",
        "transparent",
    }
    assert float(svg.attributes["viewbox"].split()[2]) == pytest.approx(WIDTH, abs=3)


def test_the_same_chart_is_the_same_svg_with_no_name_that_another_could_have() -> None:
    chart, _ = KINDS["lines"]
    assert to_svg(chart, "") == to_svg(chart, "")
    assert not re.search(
        r'\bid="|url\(', "".join(to_svg(chart, "") for chart, _ in KINDS.values())
    )


def test_a_name_is_never_taken_for_markup() -> None:
    points = [Point(HOSTILE, 0, 1), Point(HOSTILE, 1, 2)]
    chart = draw_lines(points, {HOSTILE: BLUE}, HOSTILE, HOSTILE)
    tree = Parser(to_svg(chart, HOSTILE)).root
    assert not tree.find("script") + tree.find("img")
    assert tree.children[0].attributes["aria-label"] == HOSTILE


def test_six_arms_beside_the_control_differ_in_colour() -> None:
    assert len({arm_colour(position) for position in range(7)}) == 7
    assert arm_colour(7) == arm_colour(1)
