"""The page in a real browser: it is read there as it was written, in light and in dark."""

import os
import subprocess
import zlib
from pathlib import Path

import pytest

from analysis.ab.page.page import render
from tests.analysis.ab.page_samples import make_report
from tests.analysis.ab.test_page import HOSTILE, Parser, read_table
from tests.programs import need

DARK = "--blink-settings=preferredColorScheme=0"


def browse(folder: Path, page: str, *options: str) -> str:
    """What headless Chromium writes of a page."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    # The sandbox needs rights that a container does not give; the page is our own.
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    profile = f"--user-data-dir={folder / 'profile'}"
    words = [need("chromium"), *fixed, profile, *options, file.as_uri()]
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True, env=environment)
    return done.stdout


def read_corner(png: bytes) -> tuple[int, int, int]:
    """The colour of the first pixel; every filter of PNG leaves that one as it is (PNG specification, section 9)."""
    data, place = b"", 8
    while place < len(png):
        length, kind = int.from_bytes(png[place : place + 4], "big"), png[place + 4 : place + 8]
        data += png[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    red, green, blue = zlib.decompress(data)[1:4]
    return red, green, blue


def test_verdict_and_table_are_read_from_the_document(tmp_path: Path) -> None:
    report = make_report()
    page = Parser(browse(tmp_path, render(report), "--dump-dom")).root
    verdict = page.find("div", id="verdict")[0]
    assert verdict.attributes["data-decision"] == "ship"
    assert verdict.find("h2")[0].text == "Ship: T1"
    rows = read_table(page, "course-table")[1:]
    assert [row[0] for row in rows] == [row.metric for row in report.course_table]
    assert rows[0][2:5] == ["+3.21 %", "+0.05 %", "+5.37 %"]


def test_a_browser_takes_no_name_for_markup(tmp_path: Path) -> None:
    page = Parser(browse(tmp_path, render(make_report(("C", HOSTILE), HOSTILE, text=HOSTILE)), "--dump-dom")).root
    assert not page.find("script")
    assert not page.find("img")
    assert page.find("h1")[0].text == HOSTILE


@pytest.mark.parametrize(("options", "is_dark"), [((), False), ((DARK,), True)], ids=["light", "dark"])
def test_the_page_follows_the_readers_colours(tmp_path: Path, options: tuple[str, ...], is_dark: bool) -> None:
    picture = tmp_path / "page.png"
    browse(tmp_path, render(make_report()), f"--screenshot={picture}", "--window-size=390,600", *options)
    assert (sum(read_corner(picture.read_bytes())) < 3 * 64) == is_dark
