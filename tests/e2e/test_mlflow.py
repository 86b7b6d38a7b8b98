"""The how-to of MLflow, with a real tracking folder."""

from operator import attrgetter
from pathlib import Path

import pytest

import listening_loop as ll
from tests.e2e.pages import ROOT, blocks_of
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_store


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::Warning")  # MLflow warns
def test_a_run_is_logged_with_its_leaderboard_and_artefacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = random_store(tmp_path, listeners=60, tracks=90, sessions=900)
    models = {"als": {"factors": [2, 4], "alpha": 10}}
    with without_processes():
        run = ll.search(store, models, iterations=2)
    (block,) = [
        block
        for block in blocks_of(ROOT / "docs/python.md")
        if "import mlflow" in block.text
    ]
    exec(block.text.replace("out/plays-run", run.address))  # noqa: S102  of the page
    (logged,) = mlflow.search_runs().to_dict("records")
    select = run.winner.metrics["ndcg@30"].value
    assert logged["metrics.ndcg_at_30"] == pytest.approx(select)
    assert logged["params.model"] == "als"
    artifacts = tmp_path / "mlruns/0" / logged["run_id"] / "artifacts"
    assert {"leaderboard.json", "report.html"} <= {
        *map(attrgetter("name"), artifacts.iterdir())
    }
