"""The pages in a real browser: in light and dark, on paper, on any screen."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Literal, get_args

import pytest
from playwright.sync_api import Browser, Page

from analysis.ab.page import render
from analysis.page.index import renew_index
from analysis.statistics.effects import Interval
from tests.analysis.ab.samples import make_report, with_evidence
from tests.e2e.conftest import TIMEOUT_MS

Scheme = Literal["light", "dark"]
Open = Callable[..., AbstractContextManager[Page]]
LARGE = Interval(1150.47, 972.25, 1358.31)
NOTHING = Interval(nan, nan, nan)
# Values that are wider than their room.
SPILLED = """() => [...document.querySelectorAll(".forest .label, .forest .value")]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"""
EDGES = """all => all.map(each => each.getBoundingClientRect())
    .map(({left, right}) => [left, right])"""
COLOURS = """() => [getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.querySelector(".forest .line")).backgroundColor]"""
pytestmark = pytest.mark.slow


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Open:
    """Opens the text of a page in a window."""

    @contextmanager
    def open_page(
        text: str, width: int = 1440, scheme: Scheme = "light"
    ) -> Iterator[Page]:
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page.goto((tmp_path / "report.html").as_uri(), timeout=TIMEOUT_MS)
        yield page
        page.close()

    return open_page


def test_page_and_charts_follow_the_readers_colours(opened: Open) -> None:
    colours: dict[str, list[str]] = {}
    text = render(make_report(days=3))
    for scheme in get_args(Scheme):
        with opened(text, scheme=scheme) as page:
            colours[scheme] = page.evaluate(COLOURS)
            page.emulate_media(media="print")
            colours[f"{scheme}, printed"] = page.evaluate(COLOURS)
    assert not set(colours["light"]) & set(colours["dark"])
    assert colours["light, printed"] == colours["dark, printed"]
    # the paper is white, and the chart as on a light page
    assert colours["light, printed"][1] == colours["light"][1]


@pytest.mark.parametrize("arms", [2, 12])
def test_on_a_telephone_verdict_effects_and_metrics_are_seen_without_scrolling_sideways(
    arms: int, opened: Open
) -> None:
    names = ("C", *(f"T{arm} with quite a long name" for arm in range(1, arms)))
    with opened(render(make_report(names)), 390) as page:
        assert page.locator(".forest span.value").count() == 5 * (arms - 1)
        page.locator("summary").first.click()
        shown = page.locator("#verdict, .forest span.value, #metrics-table td")
        edges = shown.evaluate_all(EDGES)
        assert all(0 <= left < right <= 390 for left, right in edges)


@pytest.mark.parametrize("width", [390, 1440])
def test_the_longest_numbers_and_labels_have_room(width: int, opened: Open) -> None:
    report = make_report(("C", "T1", "T2"))
    label = f"listening time {'per session, mean of the means ' * 2}"
    effects = tuple(
        replace(effect, relative=LARGE, label=f"{label}{effect.metric}")
        for effect in report.evidence.effects
    )
    with opened(render(with_evidence(report, effects=effects)), width) as page:
        assert page.evaluate(SPILLED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_the_index_leads_to_reports_whose_outcomes_have_their_colours(
    width: int, browser: Browser, tmp_path: Path
) -> None:
    report = make_report()
    names = ("run of a name that is quite long " * 4, "ab")
    verdicts = (
        replace(report.verdict, decision="ship"),
        replace(report.verdict, decision="do not ship"),
    )
    for name, verdict in zip(names, verdicts, strict=True):
        (tmp_path / name).mkdir()
        text = render(replace(report, verdict=verdict))
        (tmp_path / name / "report.html").write_text(text, encoding="utf-8")
    index = renew_index(tmp_path / names[0])
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(index.as_uri(), timeout=TIMEOUT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".scroll").evaluate("box => box.scrollWidth") <= width
    colours = page.locator("tbody b").evaluate_all(
        "all => all.map(text => getComputedStyle(text).color)"
    )
    assert len({*colours}) == 2
    page.locator("tbody a").first.click()
    page.locator("#verdict").wait_for(timeout=TIMEOUT_MS)
    page.close()


def test_an_effect_that_has_no_percentage_is_told_by_its_values(opened: Open) -> None:
    report = make_report()
    first = report.evidence.effects[0]
    first = replace(first, control_value=0.0, arm_value=0.079, relative=NOTHING)
    with opened(render(with_evidence(report, effects=(first,)))) as page:
        value = page.locator(".forest .value", has_text="0.079 instead of 0")
        assert value.count() == 1
