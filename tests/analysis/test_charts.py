"""Charts by their specs, and each kind once as SVG: what is drawn, named and coloured."""

import math
import re
from typing import Any

import altair as alt
import pytest

from analysis.charts import (
    WIDTH,
    IntervalRow,
    Point,
    arm_colour,
    draw_intervals,
    draw_lines,
    to_svg,
)
from tests.analysis.page.html import HOSTILE, Parser

BLUE, ORANGE = arm_colour(1), arm_colour(2)
COLOURS = {"C": arm_colour(0), "T1": BLUE}
FAR = IntervalRow("Fallbacks", "+60 %", 60.0, -20.0, 70.0, ORANGE, filled=False)
KINDS: dict[str, tuple[alt.LayerChart, set[str]]] = {
    "intervals": (
        draw_intervals(
            {
                "Primary": [IntervalRow("Time", "+5 %", 5.0, 3.0, 7.0, BLUE)],
                "Guardrails": [FAR],
            },
            "x",
            from_zero=True,
        ),
        {"Primary", "Guardrails", "Time", "+5 %", "Fallbacks", "+60 %"},
    ),
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


def rows_of(chart: alt.LayerChart) -> list[dict[str, Any]]:
    """The rows of all layers, as the spec has them."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


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
    chart, _ = KINDS["intervals"]
    assert to_svg(chart, "") == to_svg(chart, "")
    assert not re.search(
        r'\bid="|url\(', "".join(to_svg(chart, "") for chart, _ in KINDS.values())
    )


def test_a_name_is_never_taken_for_markup() -> None:
    rows = [IntervalRow(HOSTILE, HOSTILE, 1.0, 0.0, 2.0, BLUE)]
    points = [Point(HOSTILE, 0, 1), Point(HOSTILE, 1, 2)]
    charts = (
        draw_intervals({HOSTILE: rows}, HOSTILE),
        draw_lines(points, {HOSTILE: BLUE}, HOSTILE, HOSTILE),
    )
    for chart in charts:
        tree = Parser(to_svg(chart, HOSTILE)).root
        assert not tree.find("script") + tree.find("img")
        assert tree.children[0].attributes["aria-label"] == HOSTILE


def test_what_is_not_known_has_no_mark() -> None:
    unknown = IntervalRow("Time", "0 → 1", math.nan, -1.0, math.inf, BLUE)
    rows = rows_of(draw_intervals({"": [unknown]}, "x"))
    (row,) = (row for row in rows if row.get("label") == "Time")
    assert row.keys() & {"value", "lower", "upper"} == {"lower"}


def test_six_arms_beside_the_control_differ_in_colour() -> None:
    assert len({arm_colour(position) for position in range(7)}) == 7
    assert arm_colour(7) == arm_colour(1)
