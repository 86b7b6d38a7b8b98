"""The reports in a real browser: read as written, in light and dark, on any screen."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from math import nan
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page

from analysis.ab.page import render
from analysis.ab.report import Report
from analysis.statistics.effects import Interval
from looplib.als import AlsParams
from looplib.config import dump_config
from recsys.config import SearchConfig, ValidationConfig
from recsys.dataset.dataset import Summary
from recsys.report.page import render_report
from recsys.report.runs import read_folder
from recsys.runs.folder import Winner
from recsys.runs.leaderboard import leaderboard_rows
from recsys.runs.ledger import Ledger, Score, Stop
from recsys.runs.ranking import RankedTrial
from recsys.runs.trials import Trial
from recsys.workspace import open_workspace
from tests.analysis.ab.samples import make_report
from tests.analysis.page.html import HOSTILE, Parser, read_table
from tests.e2e.conftest import TIMEOUT_MS

Open = Callable[..., AbstractContextManager[Page]]
LARGE = Interval(1150.47, 972.25, 1358.31)
NOTHING = Interval(nan, nan, nan)
# Texts of a chart that lie on one another or reach out of it, and values that are wider than their
# room.
SPILLED = """() => [...document.querySelectorAll("svg.chart")].flatMap(svg => {
    const room = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim());
    const boxes = texts.map(text => text.getBoundingClientRect());
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
    return texts.filter((text, i) =>
        boxes[i].left < room.left - 4 || boxes[i].right > room.right + 4
        || boxes.some((box, j) => j < i && meet(box, boxes[i]))).map(text => text.textContent);
}).concat([...document.querySelectorAll(".facts dd, .forest .label, .forest .value")]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent))"""

COLOURS = """() => [getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.querySelector("svg.chart text")).fill]"""


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Open:
    """Opens the text of a page in a window."""

    @contextmanager
    def open_page(
        text: str, width: int = 1440, scheme: Literal["light", "dark"] = "light"
    ) -> Iterator[Page]:
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page.goto((tmp_path / "report.html").as_uri(), timeout=TIMEOUT_MS)
        yield page
        page.close()

    return open_page


def write_run(folder: Path) -> Winner:
    """A run of two candidates, one of which failed for a reason that tries to be markup."""
    config = SearchConfig(
        store=Path(HOSTILE.replace("/", "")),
        run=folder,
        validation=ValidationConfig(select="ndcg@30"),
    )
    good, bad = (
        Trial(name, "als", AlsParams(8, 0.1, alpha), 1)
        for name, alpha in (("good", 1.0), ("bad", 10.0))
    )
    scores = tuple(
        Score(sweep, {"ndcg@30": (0.1 * sweep, 0.05, 0.4)}, sweep) for sweep in (1, 3)
    )
    folder.mkdir()
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    ledger = Ledger(folder / "ledger.jsonl", "scorer")
    for score in scores:
        ledger.add(good, score)
    ranking = [
        RankedTrial(good, "scored", None, scores[-1], (0.0, 0.0, 0.0)),
        RankedTrial(bad, "failed", Stop(1, HOSTILE), None),
    ]
    rows = pa.Table.from_pylist(leaderboard_rows(ranking))
    pq.write_table(rows, folder / "leaderboard.parquet")
    winner = Winner(
        good, 3, scores[-1].metrics, "ndcg@30", "dataset", (f"Warning: {HOSTILE}",)
    )
    (folder / "winner.json").write_bytes(orjson.dumps(asdict(winner)))
    return winner


@pytest.fixture
def search_page(tmp_path: Path) -> str:
    winner = write_run(tmp_path / "run")
    found = read_folder(open_workspace(tmp_path / "run"), HOSTILE)
    facts = Summary("", 60, 90, 400, 60, 900, 100, 300, 40, {})
    return render_report(found, winner, facts)


def with_effects(report: Report, relative: Interval) -> Report:
    """The report with the longest numbers and labels."""
    label = f"listening time {'per session, mean of the means ' * 2}"
    effects = (
        replace(
            effect,
            relative=relative,
            label=f"{label}{effect.metric}",
        )
        for effect in report.effects
    )
    return replace(report, effects=tuple(effects))


def test_the_ab_report_is_read_as_it_was_written_and_takes_no_name_for_markup(
    opened: Open,
) -> None:
    report = make_report(("C", HOSTILE), HOSTILE, text=HOSTILE)
    with opened(render(report)) as page:
        read = Parser(page.content()).root
    assert not read.find("script") + read.find("img")
    assert read.find("h1")[0].text == HOSTILE
    verdict = read.find("div", id="verdict")[0]
    assert verdict.attributes["data-decision"] == "ship"
    assert verdict.find("h2")[0].text == f"Ship {HOSTILE} (model {HOSTILE})"
    rows = read_table(read, "original-table")[1:]
    assert [row[0] for row in rows] == [row.metric for row in report.original_table]


def test_the_report_of_a_search_is_read_as_it_was_written_and_takes_nothing_for_markup(
    opened: Open, search_page: str
) -> None:
    with opened(search_page) as page:
        read = Parser(page.content()).root
    assert not read.find("script") + read.find("img")
    assert HOSTILE in read.find("p")[1].text
    verdict = read.find("div", id="verdict")[0]
    assert verdict.find("h2")[0].text == "Winner: als factors 8, reg 0.1, alpha 1"
    assert verdict.find("li")[0].text == f"Warning: {HOSTILE}"
    assert [row[1] for row in read_table(read, "trials")[1:]] == [
        "winner",
        f"failed at sweep 1: {HOSTILE}",
    ]


def test_page_and_charts_follow_the_readers_colours(opened: Open) -> None:
    """One SVG serves light, dark and print: its colours are those of the page around it."""
    colours: dict[str, list[str]] = {}
    text = render(make_report(days=3))
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        with opened(text, scheme=scheme) as page:
            colours[scheme] = page.evaluate(COLOURS)
            page.emulate_media(media="print")
            colours[f"{scheme}, printed"] = page.evaluate(COLOURS)
    assert all(
        light != dark
        for light, dark in zip(colours["light"], colours["dark"], strict=True)
    )
    assert colours["light, printed"] == colours["dark, printed"]
    # the paper is white, and the chart as on a light page
    assert colours["light, printed"][1] == colours["light"][1]


@pytest.mark.parametrize("arms", [2, 5, 12])
def test_on_a_telephone_the_verdict_and_every_effect_are_seen_without_scrolling_sideways(
    arms: int, opened: Open
) -> None:
    names = ("C", *(f"T{arm} with quite a long name" for arm in range(1, arms)))
    with opened(render(make_report(names)), 390) as page:
        table = page.locator("table[id^=primary-]").first
        effects = table.locator("tbody tr td:nth-child(2)")
        assert effects.count() == arms
        for cell in [page.locator("#verdict"), *effects.all()]:
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("width", [390, 1440])
def test_the_longest_numbers_have_room(
    width: int, opened: Open, search_page: str
) -> None:
    for text in (
        render(with_effects(make_report(("C", "T1", "T2")), LARGE)),
        search_page,
    ):
        with opened(text, width) as page:
            assert page.evaluate(SPILLED) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_effect_that_has_no_percentage_is_told_by_its_values(opened: Open) -> None:
    report = make_report()
    first = replace(
        report.effects[0],
        control_value=0.0,
        arm_value=0.079,
        relative=NOTHING,
    )
    with opened(render(replace(report, effects=(first,)))) as page:
        value = page.locator(".forest .value", has_text="0.079 instead of 0")
        assert value.count() == 1
