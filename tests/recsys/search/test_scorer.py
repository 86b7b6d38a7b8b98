"""The listeners who choose, and those who choose nothing."""

from pathlib import Path

import pytest

from looplib.cli import run
from recsys.search import __main__ as search
from recsys.search.folder import LEDGER, read_run
from recsys.search.ledger import read_ledger, scores_of
from recsys.storage import open_workspace
from tests.recsys.commands import search_argv
from tests.recsys.logs import make_store, random_sessions

pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")
SETTINGS = [
    "models.als.factors=[4]",
    "models.als.alpha=[1.0, 10.0]",
    "search.iterations=2",
    "search.score_every=1",
    "validation.resamples=200",
    "validation.ks=[1, 10]",
    "split.holdout=0.4",
]


def test_the_winner_has_a_figure_of_listeners_who_chose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = random_sessions(3, listeners=300, tracks=60, sessions=3000)
    store = make_store(tmp_path, sessions, tracks=60)
    settings = ["validation.select=ndcg@10", "validation.test_share=0.3"]
    argv = search_argv(store, tmp_path / "run", (*SETTINGS, *settings), "--no-export")
    assert run(search.app, search.PROG, argv) == 0
    _, winner = read_run(open_workspace(tmp_path / "run"))
    lines, _ = read_ledger(tmp_path / "run" / LEDGER)
    scores = scores_of(lines)
    tested = {
        trial: score.test
        for trial, of_trial in scores.items()
        for score in of_trial
        if score.test
    }
    baselines = {"popular", "most_played", "latest"}
    assert tested.keys() > {winner.trial.id, *baselines}
    assert tested[winner.trial.id] == winner.test
    value, lower, upper = winner.test["ndcg@10"]
    assert lower < value < upper
    assert value != winner.metrics["ndcg@10"][0]
    assert f"on the listeners who chose nothing it is {value:.4f}" in " ".join(
        winner.warnings
    )
    assert "who chose nothing" in " ".join(capsys.readouterr().err.split())
