"""The first command, in a folder of its own, killed amid its traffic and started again."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recsys.store.reader import open_store
from tests.botify.client import read_lines
from tests.botify.exports import read_lists
from tests.e2e.pages import ROOT, blocks_of
from tests.programs import run_python
from tests.waiting import wait_until

COMMAND = [
    "-m",
    "listening_loop.command",
    "demo",
    "--config",
    "configs/first/loop.yaml",
]
DAY = "out/first/days/1"
SESSIONS = 9000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def demo(folder: Path) -> Path:
    shutil.copytree(ROOT / "configs", folder / "configs")
    traffic = folder / DAY / "log-unfinished"

    def is_amid_traffic() -> bool:
        return any(file.stat().st_size for file in traffic.glob(".events-*"))

    with subprocess.Popen(
        [sys.executable, *COMMAND], stdout=subprocess.DEVNULL, cwd=folder
    ) as first:
        try:
            wait_until(is_amid_traffic, "answers to listeners", [first])
        finally:
            first.kill()
    assert not (folder / DAY / "log").exists()
    done = run_python(*COMMAND, cwd=folder)
    assert done.returncode == 0, done.stderr
    before, _, ending = done.stdout.rpartition("\nShip ")
    assert ending, before[-4000:]
    (folder / "ending.txt").write_text(f"Ship {ending}")
    return folder


def shape(ending: str) -> str:
    """Strip an ending of numbers and of the verdict's sentences about arms."""
    ending = ending.replace(".venv/bin/", "")  # a reader types the path
    headline, lines = ending.split("(", 1)[0], ending.partition("\nexperiment ")[2]
    return re.sub(r"T\d|\d[\d.,]*", "", " ".join((headline + lines).split()))


def test_the_quick_start_shows_how_the_demo_ends(demo: Path) -> None:
    blocks = blocks_of(ROOT / "docs" / "quickstart.md")
    (shown,) = (block.text for block in blocks if block.text.startswith("Ship "))
    assert shape((demo / "ending.txt").read_text()) == shape(shown)


def test_the_python_of_the_readme_prints_its_output(demo: Path) -> None:
    blocks = blocks_of(ROOT / "README.md")
    (script,) = (block.text for block in blocks if block.language == "python")
    (shown,) = (block.text for block in blocks if block.language == "text")
    (demo / "readme.py").write_text(script)
    done = run_python("readme.py", cwd=demo)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


def test_the_picture_of_the_readme_shows_the_table() -> None:
    picture = runpy.run_path(str(ROOT / "docs/picture.py"))
    table = (ROOT / "docs/replay.md").read_text()
    assert picture["PICTURE"].read_text() == picture["draw"](table)


def test_the_demo_leads_from_nothing_to_a_win_that_can_be_trusted(demo: Path) -> None:
    report = json.loads((demo / DAY / "report/report.json").read_text())
    first = (demo / "ending.txt").read_text().splitlines()[0]
    for arm, recommender in report["recommenders"].items():
        assert f"{arm} ({recommender})" in first
    effects = [
        effect["relative"]
        for effect in report["effects"]
        if effect["role"] == "primary"
    ]
    assert max(effect["value"] for effect in effects) > 41, (
        "as much as one artist's tracks brought in the original course"
    )
    assert all(effect["lower"] > 0 for effect in effects), "all beat random, surely"
    assert report["verdict"]["decision"] == "ship"
    assert report["srm"]["mismatch"] is False
    index = (demo / "out/index.html").read_text()
    for part in ("run", "report"):
        assert f'href="first/days/1/{part}/report.html"' in index


def test_after_a_kill_every_event_counts_once(demo: Path) -> None:
    log = demo / DAY / "log"
    assert not list(log.glob(".events-*"))
    events = read_lines(*log.glob("events-*"))
    ends = Counter(event["session"] for event in events if event["message"] == "last")
    assert len(ends) == ends.total() == SESSIONS
    answers = Counter((event["session"], event["recommendation"]) for event in events)
    assert answers.most_common(1)[0][1] == 1, "an event stands twice"
    count = len(events)
    report = json.loads((demo / DAY / "report/report.json").read_text())
    assert report["lines"] == {"read": count, "good": count, "rejected": 0}
    learned = read_lines(*(demo / "out/first/log").glob("events-*"))
    assert open_store(demo / "out/first/store").manifest.events == len(learned)


def test_the_demo_publishes_a_list_for_every_listener(demo: Path) -> None:
    lists = read_lists(demo / "out/first/published/current")
    assert [*lists] == list(range(900))
    assert all(len(set(tracks)) == 30 for tracks in lists.values())
