"""The index of a workspace: its rows, their order, and files that are no reports."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis.page.index import renew_index
from analysis.page.render import render
from tests.analysis.page.html import HOSTILE, Parser

SUMMARY = {
    "kind": "Search",
    "data": "out/store",
    "outcome": "Winner: als",
    "tone": "good",
}


def write_report(folder: Path, **summary: str) -> Path:
    folder.mkdir(parents=True)
    page = render([], "base.html.jinja", summary=SUMMARY | summary)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


def read_rows(index: Path) -> dict[str, list[str]]:
    """Read the texts of each row by the address that it leads to."""
    rows = Parser(index.read_text(encoding="utf-8")).root.find("tr")
    return {
        link.attributes["href"]: [cell.text for cell in row.children]
        for row in rows
        for link in row.find("a")
    }


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("out")


def test_all_reports_of_a_workspace_are_rows_the_newest_first(workspace: Path) -> None:
    search = write_report(workspace / "first/days/1/run")
    replay = write_report(
        workspace / "a b/é", kind="Replay", outcome=HOSTILE, tone="bad"
    )
    os.utime(search / "report.html", (2e9, 2e9))
    assert renew_index(replay) == workspace / "index.html"
    rows = read_rows(workspace / "index.html")
    assert list(rows) == ["first/days/1/run/report.html", "a%20b/%C3%A9/report.html"]
    first, second = rows.values()
    assert first[:2] == ["Search first/days/1/run", "Winner: als"]
    assert first[2:] == ["out/store", "2033-05-18 03:33"]
    assert second[:2] == ["Replay a b/é", HOSTILE]


def test_a_report_elsewhere_is_listed_in_the_folder_above(tmp_path: Path) -> None:
    index = renew_index(write_report(tmp_path / "run"))
    assert index == tmp_path / "index.html"
    assert list(read_rows(index)) == ["run/report.html"]


def test_files_that_are_no_reports_are_left_out(workspace: Path) -> None:
    good = write_report(workspace / "good")
    for name in ("cut", "pipe", "link", "folder"):
        (workspace / name).mkdir()
    (workspace / "cut/report.html").write_bytes(b'<meta name="kind" content="\xff')
    os.mkfifo(workspace / "pipe/report.html")
    (workspace / "link/report.html").symlink_to(
        write_report(workspace.with_name("far")) / "report.html"
    )
    (workspace / "folder/report.html").mkdir()
    renew_index(good)
    assert list(read_rows(workspace / "index.html")) == ["good/report.html"]


def test_an_index_that_cannot_be_written_is_a_warning(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_report(workspace / "run")
    (workspace / "index.html").write_text("<h1>My page</h1>")
    renew_index(folder)
    assert (workspace / "index.html").read_text() == "<h1>My page</h1>"
    (workspace / "index.html").unlink()
    (workspace / "index.html").mkdir()
    renew_index(folder)
    renew_index(Path("nowhere/run"))
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(" does not list ")[0] for line in warnings] == [
        "warning: out/index.html",
        "warning: out/index.html",
        "warning: nowhere/index.html",
    ]


def test_of_commands_that_end_at_once_all_reports_are_listed(workspace: Path) -> None:
    def finish(number: int) -> None:
        renew_index(write_report(workspace / str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(finish, range(8)))
    assert len(read_rows(workspace / "index.html")) == 8
