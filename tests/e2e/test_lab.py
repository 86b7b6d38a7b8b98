"""The lab in a browser: runs, reports, the live experiment."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, Page, expect

from analysis.ab import __main__ as ab
from looplib.cli import run
from recsys.config import SearchConfig
from recsys.export.export import export_run
from recsys.lock import LOCK
from recsys.report.page import write_report
from tests.e2e.conftest import TIMEOUT_MS
from tests.faults.served import Published, Served
from tests.recsys.in_process import without_processes
from tests.recsys.logs import events_of, make_store, random_sessions
from tests.recsys.opened import search_of
from tests.waiting import wait_until

TRACKS = 90


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the first of them published, and an A/B report."""
    folder = tmp_path_factory.mktemp("lab")
    sessions = random_sessions(3, listeners=60, tracks=TRACKS, sessions=900)
    store = make_store(folder, sessions)
    for name, factors in (("first", (4, 8)), ("second", (6, 12))):
        models = {"als": {"factors": factors, "alpha": 10.0}}
        config = SearchConfig.model_validate(
            {
                "store": store,
                "run": folder / "runs" / name,
                "models": models,
                "search": {"iterations": 4, "score_every": 2},
                "validation": {"resamples": 100},
                "export": {"publish_anyway": True},
            }
        )
        with without_processes():
            search_of(config)
            write_report(config.run)
            if name == "first":
                export_run(config.run, folder / "published", config.export)
    arms = ("C", "T1")
    events = [
        event | {"experiments": {"ALS": arms[event["user"] % 2]}}
        for one in sessions
        for event in events_of(one)
    ]
    write_lines(folder / "ab-log.jsonl", events)
    argv = [
        str(folder / "ab-log.jsonl"),
        "--experiment",
        "ALS",
        "--out",
        str(folder / "reports" / "als"),
    ]
    assert run(ab.app, ab.PROG, argv) == 0
    titles = [
        {"track": track, "artist": f"artist {track % 9}", "title": f"title {track}"}
        for track in range(TRACKS)
    ]
    write_lines(folder / "tracks.json", titles)
    return folder


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


@pytest.fixture(scope="module")
def service(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    published = Published(root)
    log = tmp_path_factory.mktemp("service") / "log"
    arms = [{"name": name, "recommender": "indexed"} for name in ("C", "T1")]
    served = Served(
        published,
        log,
        recommendations=str(root / "published" / "current" / "recommendations.jsonl"),
        experiments=[{"name": "ALL", "arms": arms}],
    )
    try:
        yield served.start()
    finally:
        served.kill()


@pytest.fixture(scope="module")
def lab(root: Path, service: Served) -> Iterator[str]:
    flags = [
        "--root",
        root,
        "--service",
        f"http://127.0.0.1:{service.port}",
    ]
    flags += ["--log", service.log, "--port", "0"]
    argv = [sys.executable, "-m", "listening_loop.command", "lab", *map(str, flags)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().split()[0]
            assert address.startswith("http://127.0.0.1:")
            yield address.rstrip("/")
        finally:
            process.terminate()


@pytest.fixture
def page(browser: Browser, lab: str) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    page.goto(lab)
    yield page
    page.close()


def test_a_search_under_way_shows_what_is_scored_so_far(
    page: Page, lab: str, root: Path
) -> None:
    folder = root / "runs" / "going-on"
    shutil.copytree(root / "runs" / "first", folder)
    for name in ("winner.json", "leaderboard.parquet", "report.html"):
        (folder / name).unlink()
    ledger = folder / "ledger.jsonl"
    lines = map(orjson.loads, ledger.read_bytes().splitlines())
    trials = {line["trial"]["id"] for line in lines}
    os.utime(folder / LOCK)
    page.goto(f"{lab}/runs/runs/going-on")
    expect(page.locator("#running")).to_contain_text(
        f"{len(trials)} trials have a score so far"
    )
    expect(page.locator("#leaderboard tbody tr")).to_have_count(len(trials))
    os.utime(folder / LOCK, (0, 0))
    page.reload()
    expect(page.locator("#interrupted")).to_be_visible()
    shutil.rmtree(folder)


def test_the_reports_of_a_search_and_of_an_experiment_are_opened(page: Page) -> None:
    page.get_by_role("link", name="runs/second", exact=True).click()
    expect(page.locator("h1")).to_have_text("runs/second")
    rows = page.locator("#leaderboard tbody tr")
    expect(rows).to_have_count(5)  # two trials and three baselines
    page.get_by_role("link", name="The report of this search").click()
    expect(page.locator("h1")).to_have_text("Search by ndcg@30")
    expect(page.locator("#trials tbody tr")).to_have_count(5)
    page.go_back()
    page.get_by_role("link", name="Lab", exact=True).click()
    page.set_viewport_size({"width": 390, "height": 900})
    row = page.get_by_role("row", name="reports/als")
    row.scroll_into_view_if_needed()
    verdict = row.locator("td").first
    expect(verdict).to_have_text("Wait")
    expect(verdict).to_be_in_viewport(ratio=1)
    page.get_by_role("link", name="reports/als", exact=True).click()
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#original-table tbody tr")).to_have_count(5)


def test_a_run_says_how_to_publish_it_and_the_command_does_so(
    page: Page, root: Path, service: Served
) -> None:
    first = service.ask("GET", "/experiments")[1]["version"]
    page.get_by_role("link", name="runs/second", exact=True).click()
    shown = page.locator("code", has_text="listening-loop export").inner_text()
    words = shlex.split(shown.replace("FOLDER", str(root / "published")))
    argv = [sys.executable, "-m", "listening_loop.command", *words[1:]]
    subprocess.run(argv, check=True, capture_output=True, timeout=300)
    wait_until(
        lambda: service.ask("GET", "/experiments")[1]["version"] != first,
        "the service to follow",
    )


def test_the_live_experiment_shows_what_is_logged_so_far(
    page: Page, lab: str, service: Served
) -> None:
    for user in range(40):
        assert service.ask("POST", f"/next/{user}", {"track": 1, "time": 0.5})[0] == 200
        assert (
            service.ask("POST", f"/last/{user}", {"track": 2, "time": 0.25})[0] == 200
        )
    counts = [
        line
        for line in service.ask("GET", "/metrics")[1].splitlines()
        if line.startswith("botify_events_total")
    ]
    events = f"{sum(float(line.split()[-1]) for line in counts):,.0f}"
    wait_until(
        lambda: _sees_events(page, lab, events), "the lab to look at the log again"
    )
    expect(page.get_by_role("row", name="C indexed")).to_be_visible()
    expect(page.locator(".forest .label", has_text="T1").first).to_be_visible()


def _sees_events(page: Page, lab: str, events: str) -> bool:
    page.goto(f"{lab}/live")
    return (
        events
        in page.locator("dl.facts div", has_text="Events read").inner_text().split()
    )
