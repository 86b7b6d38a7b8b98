"""Searches in which fits fail, or are no good."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from listening_loop.command import main
from recsys.config import ExportConfig
from recsys.errors import SearchError
from recsys.models.baselines import Popular
from recsys.models.trial import Checkpoint
from recsys.search.ledger import Score
from recsys.search.step import run_step
from tests.conftest import Run
from tests.recsys.in_process import without_processes
from tests.recsys.ledgers import ledger_rows as ledger
from tests.recsys.search.quick import publish_run, search_argv, search_ok, winner_of

pytestmark = pytest.mark.usefixtures("no_reports")


@pytest.mark.parametrize("fit", ["whole", "blocks"])
def test_trials_that_give_nan_or_raise_are_failed_rows_and_the_others_finish(
    store: Path, tmp_path: Path, fit: str
) -> None:
    """No memory has 2^40 factors, and no array 2^62."""
    factors = f"models.als.factors=[4, {2**40}, {2**62}]"
    alpha = "models.als.alpha=[10.0, 1.0e+39]"
    search_ok(store, tmp_path / "run", factors, alpha, f"cluster.fit={fit}")
    failed = {
        (row["params"]["factors"], row["params"]["alpha"]): row["error"]
        for row in ledger(tmp_path / "run")
        if row["error"]
    }
    not_finite = "TrialError: the factors are not finite after iteration 1"
    assert failed.pop((4, 1e39)) == not_finite
    kinds = {(factors, error.split(":")[0]) for (factors, _), error in failed.items()}
    assert kinds == {(2**40, "MemoryError"), (2**62, "ValueError")}
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    assert [row["state"] for row in board] == ["scored"] * 4 + ["failed"] * 5
    assert winner_of(tmp_path / "run").trial.params["factors"] == 4


@pytest.mark.dask
@pytest.mark.slow
def test_a_class_that_a_worker_cannot_import_is_a_failed_row_that_names_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is imported here, and worker processes have no path to its module."""
    (tmp_path / "only_here.py").write_text("class Mine:\n    def fit(self, m): ...\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        monkeypatch.setitem(sys.modules, "only_here", import_module("only_here"))
    models = ["models.mine.class=only_here.Mine", "models.activation.decay=[0.5]"]
    settings = [*models, "cluster.workers=1"]
    assert main(search_argv(store, tmp_path / "run", base=settings)) == 0
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    assert [row["model"] for row in board if row["state"] == "failed"] == ["mine"]
    (error,) = [row["error"] for row in ledger(tmp_path / "run") if row["error"]]
    assert error.startswith("ImportError: only_here.Mine: cannot be imported (")


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("lost")


def test_what_takes_the_place_of_failed_finalists_has_every_metric(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best two fail where every metric is computed."""
    failed: list[str] = []

    def run_or_fail(checkpoint: Checkpoint, *arguments: Any) -> Score:  # noqa: ANN401
        *_, is_whole = arguments
        trial = checkpoint.trial
        if is_whole and not trial.is_baseline and len(failed) < 2:
            failed.append(trial.id)
            fail()
        return run_step(checkpoint, *arguments)

    monkeypatch.setattr("recsys.search.search.run_step", run_or_fail)
    # two of four are left at the end
    worse = ["search.strategy=halving", "models.als.regularization=[1.0, 1e5]"]
    search_ok(store, tmp_path / "run", *worse, "models.als.factors=8")
    winner = winner_of(tmp_path / "run")
    assert winner.trial.id not in failed
    assert "recall@5" in winner.metrics


def test_a_winner_that_popular_could_not_be_compared_with_is_not_published(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Run
) -> None:
    monkeypatch.setattr(Popular, "recommend", fail)
    settings = ("seed=3", "export.publish_anyway=false")  # rules anew
    line = refused(store, tmp_path / "run", *settings)
    assert "not significantly better than every baseline" in line


def test_a_model_no_better_than_popular_is_not_published(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poor = ["models.als.factors=[1]", "models.als.regularization=[1e6]"]
    settings = [*poor, "export.filter_seen=true", "export.publish_anyway=false"]
    folder = tmp_path / "run"
    with without_processes():
        assert main(search_argv(store, folder, *settings, export=True)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "validation.filter_seen is false and export.filter_seen true" in said
    assert "the best model is not significantly better than every" in said
    assert not (folder / "export").exists()
    winner = winner_of(folder)
    assert winner.beats_baselines is False
    publish = "only export.publish_anyway: true publishes it"
    assert any(publish in warning for warning in winner.warnings)
    with pytest.raises(SearchError, match=r"--set export\.publish_anyway=true"):
        publish_run(folder, tmp_path / "out", ExportConfig())
