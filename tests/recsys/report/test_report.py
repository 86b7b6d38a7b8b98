"""The report of a search: it stands alone, shows the results, and takes no title for markup."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from listening_loop.command import main
from looplib.errors import UserError
from recsys.ingest import pipeline as ingest
from recsys.report.page import write_report
from recsys.run import LEDGER, read_run
from recsys.search.ledger import Ledger, read_ledger
from recsys.storage import open_workspace
from recsys.store.ids import read_titles
from recsys.store.reader import open_store
from tests.analysis.page.html import HOSTILE, Element, Parser, read_table
from tests.recsys.logs import random_sessions, write_log
from tests.recsys.search.quick import search_argv

LISTENERS, TRACKS = 60, 90
pytestmark = pytest.mark.usefixtures("no_processes")
SETTINGS = [
    "is_simulated=true",
    "search.strategy=halving",
    "models.als.factors=[4, 8]",
    "models.als.regularization=[1.0, 1.0e+5, 1.0e+30]",
    "models.als.alpha=[1.0, 10.0]",
    "search.iterations=4",
    "validation.ks=[5, 30]",
]


def write_catalogue(folder: Path) -> Path:
    """Titles that try to be markup."""
    folder.mkdir(parents=True)
    rows = [
        {"track": track, "title": f"{HOSTILE} no. {track}", "artist": "A & B"}
        for track in range(TRACKS)
    ]
    (folder / "tracks.json").write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return folder / "tracks.json"


@pytest.fixture(scope="module")
def world(folder: Path) -> Path:
    """A folder with a catalogue, a store that refers to it, and a finished run named to try to be
    markup."""
    catalogue = write_catalogue(folder / "catalogue")
    sessions = random_sessions(5, listeners=LISTENERS, tracks=TRACKS, sessions=900)
    log = write_log(folder / "log" / "events.jsonl", sessions)
    facts = {
        "sha256": hashlib.sha256(catalogue.read_bytes()).hexdigest(),
        "tracks": TRACKS,
    }
    (log.parent / "collection.json").write_bytes(
        orjson.dumps({"schema": 1, "catalogue": facts})
    )
    ingest.ingest([log], folder / "store")
    paths = (folder / "store", folder / "<b>run", f"catalogue={catalogue}")
    assert main(search_argv(*paths, base=SETTINGS)) == 0
    return folder


@pytest.fixture(scope="module")
def run_folder(world: Path) -> Path:
    return world / "<b>run"


@pytest.fixture(scope="module")
def page(run_folder: Path) -> Element:
    return Parser((run_folder / "report.html").read_text(encoding="utf-8")).root


def test_the_verdict_is_the_winner_with_its_interval(
    page: Element, run_folder: Path
) -> None:
    _, winner = read_run(open_workspace(run_folder))
    verdict = page.find("div", id="verdict")[0]
    assert verdict.attributes["data-trial"] == winner.trial.id
    params = winner.trial.params
    heading = verdict.find("h2")[0].text
    assert (
        heading
        == f"Winner: als factors {params['factors']}, reg {params['regularization']:g}, "
        f"alpha {params['alpha']:g}"
    )
    assert f"ndcg@30 {winner.metrics['ndcg@30'].value:.4f}" in verdict.text
    assert all(warning in verdict.text for warning in winner.warnings)
    index = (run_folder.parent / "index.html").read_text(encoding="utf-8")
    assert heading in Parser(index).root.text
    assert ", of simulated listeners" in page.find("header")[0].text
    assert "All 12 candidates and 3 baselines" in page.text


def test_every_candidate_and_baseline_has_a_row_with_its_state(
    page: Element, run_folder: Path
) -> None:
    assert page.find("polyline")
    _, *rows = read_table(page, "trials")
    board = pq.read_table(run_folder / "leaderboard.parquet").to_pylist()
    assert len(rows) == len(board) == 12 + 3
    shown = [row[1] for row in rows]
    assert shown.count("winner") == 1
    assert shown.count("baseline") == 3
    pruned = [state for state in shown if state == "pruned at iteration 3"]
    failed = [
        state
        for state in shown
        if state.startswith("failed at iteration ") and "TrialError" in state
    ]
    states = [row["state"] for row in board]
    assert (len(pruned), len(failed)) == (
        states.count("pruned"),
        states.count("failed"),
    )
    assert pruned
    assert failed


def test_three_listeners_are_shown_what_they_played_and_get(page: Element) -> None:
    (section,) = page.find("section", **{"aria-labelledby": "examples"})
    tables = section.find("table")
    assert len(tables) == 3
    for table in tables:
        assert len(table.find("tr")) == 1 + 6
        assert all(f"{HOSTILE} no. " in cell.text for cell in table.find("td"))
        assert all(
            cell.text.rstrip(" ✓").endswith(", A & B") for cell in table.find("td")
        )


def test_names_are_text_and_nothing_is_fetched(page: Element, run_folder: Path) -> None:
    assert not page.find("script")
    assert not page.find("img")
    assert page.find("p")[1].text.startswith("<b>run")
    text = (run_folder / "report.html").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text


def test_another_catalogue_is_refused(world: Path, tmp_path: Path) -> None:
    other = write_catalogue(tmp_path / "other")
    other.write_bytes(other.read_bytes() + b'\n{"track": 90, "title": "one more"}')
    with pytest.raises(UserError, match=f"{other}: not the catalogue of"):
        read_titles(other, open_store(world / "store"))


def test_scores_of_an_earlier_search_change_nothing(run_folder: Path) -> None:
    page, file = run_folder / "report.html", run_folder / LEDGER
    before, lines, written = page.read_bytes(), file.read_bytes(), file.stat()
    (first, *_), _ = read_ledger(file)
    file.unlink()
    Ledger(file, "earlier").add(replace(first, scorer="earlier"))
    with file.open("ab") as ledger:
        ledger.write(lines)
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
    write_report(str(run_folder))
    assert page.read_bytes() == before
