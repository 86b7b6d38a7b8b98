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
from recsys.lock import LOCK
from recsys.search import __main__ as search
from tests.e2e.conftest import TIMEOUT_MS
from tests.faults.served import Published, Served, serve
from tests.recsys.in_process import without_processes
from tests.recsys.logs import events_of, make_store, random_sessions
from tests.waiting import wait_until

TRACKS = 90
PROGRAM = [sys.executable, "-m", "listening_loop.command"]
SEARCH = """
search: {iterations: 4, score_every: 2}
validation: {resamples: 100}
export: {publish_anyway: true}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the first of them published, and an A/B report."""
    folder = tmp_path_factory.mktemp("lab")
    sessions = random_sessions(3, listeners=60, tracks=TRACKS, sessions=900)
    config = folder / "search.yaml"
    config.write_text(f"store: {make_store(folder, sessions)}\nrun: unused\n{SEARCH}")
    published = ["--out", str(folder / "published")]
    for name, factors, out in (
        ("first", "[4, 8]", published),
        ("second", "[6, 12]", ["--no-export"]),
    ):
        argv = ["--config", str(config), "--run", str(folder / "runs" / name), *out]
        argv += ["--set", f"models.als={{factors: {factors}, alpha: 10}}"]
        with without_processes():
            assert run(search.app, search.PROG, argv) == 0
    events = [
        event | {"experiments": {"ALS": ("C", "T1")[event["user"] % 2]}}
        for session in sessions
        for event in events_of(session)
    ]
    log = write_lines(folder / "ab-log.jsonl", events)
    argv = ["--experiment", "ALS", "--out", str(folder / "reports" / "als")]
    assert run(ab.app, ab.PROG, [str(log), *argv]) == 0
    titles = [
        {"track": track, "artist": f"artist {track % 9}", "title": f"title {track}"}
        for track in range(TRACKS)
    ]
    write_lines(folder / "tracks.json", titles)
    return folder


def write_lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def service(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("service") / "log"
    arms = [{"name": name, "recommender": "indexed"} for name in ("C", "T1")]
    lists = Published(root / "published").recommendations
    with serve(
        Published(root),
        log,
        recommendations=str(lists),
        experiments=[{"name": "ALL", "arms": arms}],
    ) as served:
        yield served


@pytest.fixture(scope="module")
def lab(root: Path, service: Served) -> Iterator[str]:
    address = f"http://127.0.0.1:{service.port}"
    argv = [*PROGRAM, "lab", "--root", str(root), "--log", str(service.log)]
    argv += ["--service", address, "--port", "0"]
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
    lines = (folder / "ledger.jsonl").read_bytes().splitlines()
    trials = {orjson.loads(line)["trial"]["id"] for line in lines}
    os.utime(folder / LOCK)
    page.goto(f"{lab}/runs/runs/going-on")
    progress = (
        f"{len(trials) - 3} candidates have a score so far"  # and three baselines
    )
    expect(page.locator("#running")).to_contain_text(progress)
    expect(page.locator("#trials tbody tr")).to_have_count(len(trials))
    os.utime(folder / LOCK, (0, 0))
    page.reload()
    expect(page.locator("#interrupted")).to_be_visible()
    shutil.rmtree(folder)


def test_the_reports_of_a_search_and_of_an_experiment_are_opened(page: Page) -> None:
    page.get_by_role("link", name="runs/second", exact=True).click()
    expect(page.locator("h1")).to_have_text("Search by ndcg@30")
    expect(page.locator(".curves polyline")).to_have_count(2)
    page.locator("summary", has_text="All 2 candidates and 3 baselines").click()
    expect(page.locator("#trials tbody tr")).to_have_count(5)
    page.go_back()
    page.set_viewport_size({"width": 390, "height": 900})
    verdict = page.get_by_role("listitem").filter(has_text="reports/als: Wait")
    verdict.scroll_into_view_if_needed()
    expect(verdict).to_be_in_viewport(ratio=1)
    page.get_by_role("link", name="reports/als", exact=True).click()
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#arms-table tbody tr")).to_have_count(2)


def test_a_run_says_how_to_publish_it_and_the_command_does_so(
    page: Page, root: Path, service: Served
) -> None:
    first = service.ask("GET", "/experiments")[1]["version"]
    page.get_by_role("link", name="runs/second", exact=True).click()
    shown = page.locator("code", has_text="listening-loop export").inner_text()
    _, *words = shlex.split(shown.replace("FOLDER", str(root / "published")))
    subprocess.run([*PROGRAM, *words], check=True, capture_output=True, timeout=300)
    wait_until(
        lambda: service.ask("GET", "/experiments")[1]["version"] != first,
        "the service to follow",
    )


def test_the_live_experiment_shows_what_is_logged_so_far(
    page: Page, lab: str, service: Served
) -> None:
    for user in range(40):
        for message, track in (("next", 1), ("last", 2)):
            body = {"track": track, "time": 0.5}
            assert service.ask("POST", f"/{message}/{user}", body)[0] == 200

    def are_shown() -> bool:
        page.goto(f"{lab}/live")
        events = page.locator("#events")
        return events.count() == 1 and events.inner_text() == "80"

    wait_until(are_shown, "the lab to look at the log again")
    expect(page.get_by_text("ALL, C: indexed, 50")).to_be_visible()
    expect(page.locator(".forest .label", has_text="T1").first).to_be_visible()
