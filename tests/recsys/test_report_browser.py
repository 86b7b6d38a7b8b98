"""The report of a search in a real browser: it is read there as it was written, in light and in dark."""

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.models.als import AlsParams
from recsys.report.page import render_report
from recsys.report.runs import read_folder
from recsys.runs.folder import Winner
from recsys.runs.leaderboard import write_leaderboard
from recsys.runs.ledger import Ledger
from recsys.runs.ranking import Row
from recsys.runs.scores import Checkpoint, Score, Stop
from recsys.runs.trials import Trial
from recsys.workspace import open_workspace
from tests.analysis.ab.test_page import HOSTILE, Parser, read_table
from tests.analysis.ab.test_page_browser import DARK, browse, read_corner


def write_run(folder: Path) -> Winner:
    """A run of two candidates, one of which failed for a reason that tries to be markup."""
    config = SearchConfig(store=Path(HOSTILE.replace("/", "")), run=folder)
    good, bad = (Trial(name, "als", AlsParams(8, 0.1, alpha), 1) for name, alpha in (("good", 1.0), ("bad", 10.0)))
    scores = tuple(
        Score(Checkpoint(sweep), {"ndcg@30": (0.1 * sweep, 0.05, 0.4)}, sweep, 0.1, 5_000_000) for sweep in (1, 3)
    )
    folder.mkdir()
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    ledger = Ledger(folder / "ledger.jsonl", "scorer", [good])
    for score in scores:
        ledger.add(good, score)
    ranking = [
        Row((good,), "scored", None, scores, scores[-1], (0.0, 0.0, 0.0)),
        Row((bad,), "failed", Stop(Checkpoint(1), HOSTILE), (), None),
    ]
    write_leaderboard(folder / "leaderboard.parquet", ranking)
    winner = Winner(good, 3, scores[-1].metrics, "ndcg@30", "dataset", (f"Warning: {HOSTILE}",))
    (folder / "winner.json").write_bytes(orjson.dumps(asdict(winner)))
    return winner


@pytest.fixture
def page(tmp_path: Path) -> str:
    winner = write_run(tmp_path / "run")
    return render_report(read_folder(open_workspace(tmp_path / "run"), HOSTILE), winner, None)


def test_a_browser_reads_the_verdict_and_takes_nothing_for_markup(page: str, tmp_path: Path) -> None:
    read = Parser(browse(tmp_path, page, "--dump-dom")).root
    assert not read.find("script")
    assert not read.find("img")
    assert read.find("h1")[0].text == HOSTILE
    verdict = read.find("div", id="verdict")[0]
    assert verdict.find("h2")[0].text == "factors 8, reg 0.1, alpha 1"
    assert verdict.find("li")[0].text == f"Warning: {HOSTILE}"
    assert [row[1] for row in read_table(read, "trials")[1:]] == ["winner", f"failed at sweep 1: {HOSTILE}"]


@pytest.mark.parametrize(("options", "is_dark"), [((), False), ((DARK,), True)], ids=["light", "dark"])
def test_the_page_follows_the_readers_colours(
    page: str, tmp_path: Path, options: tuple[str, ...], is_dark: bool
) -> None:
    picture = tmp_path / "page.png"
    browse(tmp_path, page, f"--screenshot={picture}", "--window-size=390,600", *options)
    assert (sum(read_corner(picture.read_bytes())) < 3 * 64) == is_dark
