"""Searches in which fits fail, or are no good."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

import listening_loop as ll
from listening_loop.command import main
from recsys import blockwise
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
    store: Path, tmp_path: Path, fit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory has 2^40 factors, and no array 2^62."""
    monkeypatch.setattr(blockwise, "SMALLEST_S", 0)
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


TYPED = """
import time
class Typed:
    def __init__(self, shape, code=0):
        self.shape, self.pause_s = shape, code
    def fit(self, user_items):
        time.sleep(self.pause_s)
        factors = sum(self.shape)
        self.user_factors = user_items[:, :factors].toarray()
        self.item_factors = user_items[:factors].toarray().T
"""


@pytest.mark.dask
@pytest.mark.slow
def test_a_class_that_was_typed_in_is_searched_and_exported_by_this_process_alone(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Run
) -> None:
    """Its values are lists; one of its fits would take an hour."""
    notebook = ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    exec(TYPED, vars(notebook))  # noqa: S102  as a notebook does
    typed = vars(notebook)["Typed"]
    models = {
        "mine": (typed, {"shape": [[1, 2], [3, 4]]}),
        "slow": (typed, {"shape": [[1, 2]], "code": [3600]}),
    }
    settings = {
        "search.trial_minutes": 0.2,
        "cluster.workers": 1,
        "export.publish_anyway": True,
    }
    run = ll.search(store, models, run=tmp_path / "run", settings=settings)
    assert run.leaderboard["state"].tolist().count("failed") == 1
    (error,) = (row["error"] for row in ledger(tmp_path / "run") if row["error"])
    message = "TrialTimeoutError: a step took longer than 0.2 search.trial_min"
    assert error.startswith(message)
    run.export(tmp_path / "out", top=5)
    argv = ("export", "--run", tmp_path / "run", "--out", tmp_path / "elsewhere")
    exec(TYPED.replace("sum", "max"), vars(notebook))  # noqa: S102
    assert "notebook.Typed has changed since its search: typed in" in refusal(*argv)
    monkeypatch.delitem(sys.modules, "notebook")
    assert "notebook.Typed: cannot be imported" in refusal(*argv)


def test_a_class_that_was_edited_after_its_search_is_not_exported(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Run
) -> None:
    file = tmp_path / "edited.py"
    file.write_text(TYPED)
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    search_ok(store, run, "models={mine: {class: edited.Typed, shape: [[4]]}}")
    # of another size, as Python's bytecode knows no time below a second
    file.write_text(TYPED.replace("sum", "max") + "\n")
    monkeypatch.delitem(sys.modules, "edited")  # as in another process
    line = refusal("export", "--run", run, "--out", tmp_path / "out")
    assert "edited.Typed has changed since its search: edited " in line
    assert not list((tmp_path / "out" / "versions").glob("*"))


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("lost")


def test_what_takes_the_place_of_failed_finalists_has_every_metric(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best two fail where every metric is computed."""
    failed: list[str] = []

    def run_or_fail(checkpoint: Checkpoint, *arguments: Any) -> Score:  # noqa: ANN401
        *_, is_whole, _ = arguments
        trial = checkpoint.trial
        if is_whole and not trial.is_baseline and len(failed) < 2:
            failed.append(trial.id)
            fail()
        return run_step(checkpoint, *arguments)

    monkeypatch.setattr("recsys.search.step.run_step", run_or_fail)
    # two of four are left at the end
    worse = ["search.strategy=halving", "models.als.regularization=[1.0, 1e5]"]
    search_ok(store, tmp_path / "run", *worse, "models.als.factors=8")
    winner = winner_of(tmp_path / "run")
    assert len(failed) == 2
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
