"""The A/B report has room for what is in it, on a phone and on a desk."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from analysis.ab.page.page import render
from analysis.ab.report import Interval
from tests.analysis.ab.page_samples import make_report
from tests.e2e.conftest import TIMEOUT_MS

LARGE = Interval(1150.47, 972.25, 1358.31, 0.0)
NOTHING = Interval(None, None, None, None)
SPILLED = """() => [...document.querySelectorAll(".forest .value, .forest .label, .facts dd")]
    .filter(each => each.scrollWidth > each.clientWidth + 1 || each.getBoundingClientRect().right > innerWidth)
    .map(each => each.textContent)"""


@pytest.mark.parametrize("width", [390, 1440])
def test_the_longest_numbers_have_room(width: int, browser: Browser, tmp_path: Path) -> None:
    report = make_report()
    large = replace(report, effects=tuple(replace(effect, relative=LARGE) for effect in report.effects))
    (tmp_path / "report.html").write_text(render(large), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((tmp_path / "report.html").as_uri(), timeout=TIMEOUT_MS)
    assert page.locator(".forest .value", has_text="+1,150.5").count() == len(report.effects)
    assert page.evaluate(SPILLED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_an_effect_that_has_no_percentage_is_told_by_its_values(browser: Browser, tmp_path: Path) -> None:
    report = make_report()
    first = replace(report.effects[0], control_value=0.0, arm_value=0.079, relative=NOTHING)
    (tmp_path / "report.html").write_text(render(replace(report, effects=(first,))), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri(), timeout=TIMEOUT_MS)
    assert page.locator(".forest .value").first.inner_text() == "0.000 → 0.0790"
    page.close()
