"""The search as a user runs it: a real store, the run folder it leaves.

One search runs on a real cluster of processes; the others, which must find the same, run their
calls in the test's.
"""

import shutil
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.statistics.effects import Interval
from listening_loop.command import main
from recsys.cluster import cluster
from recsys.config import SearchConfig
from recsys.models.trial import CHECKPOINTS, Checkpoint
from recsys.run import locked_run
from recsys.search.evaluation import Evaluation
from recsys.search.ledger import Score
from recsys.search.state import SearchState
from recsys.search.trials import plan_search
from recsys.storage import open_workspace
from recsys.store.reader import open_store
from tests.conftest import Run
from tests.recsys.ledgers import ledger_rows as ledger
from tests.recsys.ledgers import untimed
from tests.recsys.logs import random_store
from tests.recsys.search.quick import (
    SIZES,
    search_argv,
    search_ok,
    winner_of,
)

pytestmark = [pytest.mark.usefixtures("no_reports"), pytest.mark.slow]

BASELINES = {"popular", "most_played", "latest"}
ALPHAS = (1.0, 10.0)


def results(run_folder: Path) -> list[str]:
    return untimed(ledger(run_folder))


@pytest.fixture(scope="module")
def finished(store: Path, folder: Path) -> Path:
    """A search that started two processes of its own."""
    run = folder / "run"
    assert main(search_argv(store, run, "cluster.workers=2", export=True)) == 0
    return run


def test_a_winner_without_factors_names_the_best_als_trial(
    store: Path, tmp_path: Path
) -> None:
    poor = ("models.als.factors=[1]", "search.iterations=2")
    search_ok(store, tmp_path / "run", *poor, "models.activation.decay=[0.5]")
    winner = winner_of(tmp_path / "run")
    table = pq.read_table(tmp_path / "run/leaderboard.parquet").to_pylist()
    best = next(row for row in table if row["model"] == "als")
    assert winner.trial.kind == "activation"
    assert winner.factors is not None
    assert winner.factors.trial.id == best["trial"]
    assert winner.factors.iteration == best["iteration"]


def test_the_ledger_has_a_row_for_each_trial_and_scored_iteration_and_the_baselines(
    finished: Path,
) -> None:
    """The last has every metric; another has them of a trial that was better before its end."""
    rows = ledger(finished)
    whole = [row for row in rows if len(row["metrics"]) > 1]
    assert len(rows) == 4 * 2 + 3 + sum(row["iteration"] == 2 for row in whole)
    assert {row["trial"] for row in whole} == {row["trial"] for row in rows}
    curves = {
        (row["params"]["factors"], row["params"]["alpha"], row["iteration"])
        for row in rows
        if row["model"] == "als"
    }
    assert curves == {*product((4, 8), ALPHAS, (2, 4))}
    assert {row["model"] for row in rows} == {"als", *BASELINES}
    for row in rows:
        assert row["error"] is None
        for interval in row["metrics"].values():
            value, lower, upper = interval.values()
            assert lower <= value <= upper


def test_the_winner_has_a_figure_of_listeners_who_chose_nothing(finished: Path) -> None:
    winner = winner_of(finished)
    tested = {row["trial"] for row in ledger(finished) if row["test"]}
    assert tested > {winner.trial.id, *BASELINES}
    value, lower, upper = winner.test["ndcg@30"]
    assert lower < value < upper
    assert value != winner.metrics["ndcg@30"].value
    said = f"on the test listeners it is {value:.4f}"
    assert said in " ".join(winner.warnings)


def test_the_result_is_the_same_for_any_number_of_workers_threads_and_partitions(
    finished: Path, tmp_path: Path
) -> None:
    store = random_store(tmp_path, partitions=1, **SIZES)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("evaluation", "step"):
            patch.setattr(f"recsys.search.{module}.call_threads", lambda: 3)
        search_ok(store, tmp_path / "run", export=True)
    exported = "export/current/recommendations.jsonl"
    assert (tmp_path / "run" / exported).read_bytes() == (
        finished / exported
    ).read_bytes()
    assert results(tmp_path / "run") == results(finished)


def beyond(run_folder: Path) -> str:
    """Return the warning about trials beyond the edges of the axes."""
    texts = winner_of(run_folder).warnings
    (said,) = (text for text in texts if text.startswith("Beyond the edges"))
    return said


def test_a_search_goes_on_beyond_the_edges_of_its_axes(
    store: Path, tmp_path: Path
) -> None:
    """As far as that is better or allowed, and the same if it was interrupted."""
    run = tmp_path / "run"
    expand = ["models.als.regularization=[1e3, 1e4]", "search.expand=true"]
    search_ok(store, run, *expand)
    tried = {row["params"]["regularization"] for row in ledger(run) if row["params"]}
    (added,) = tried - {1e3, 1e4}  # whichever edge the best is at
    assert added in (1e2, 1e5)
    assert f"reg {added:.0f}," in beyond(run)
    found = results(run)
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    key = f'"regularization":{added}'.encode()
    kept = [line for line in lines if key not in line]
    (run / "ledger.jsonl").write_bytes(b"".join(kept))
    search_ok(store, run, *expand)
    assert sorted(results(run)) == sorted(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.search.schedule.EXPAND_TRIALS", 1)
        search_ok(store, run, *expand)
    assert beyond(run).count("als factors") == 1
    # the time counts from the first run on
    minutes = f"search.minutes={ledger(run)[-1]['at_s'] / 60}"
    search_ok(store, run, *expand, "models.als.alpha=2", minutes)
    assert beyond(run).endswith("search.minutes allow no more")


@pytest.fixture
def interrupted(finished: Path, tmp_path: Path) -> Path:
    """A finished run of its own, to go on with; without its export."""
    return Path(
        shutil.copytree(
            finished, tmp_path / "run", ignore=shutil.ignore_patterns("export")
        )
    )


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a cluster was started")

    monkeypatch.setattr(cluster, "start_processes", refuse)


@pytest.mark.usefixtures("no_cluster")
def test_a_finished_search_is_concluded_again_without_a_cluster(
    store: Path, finished: Path, interrupted: Path
) -> None:
    assert main(search_argv(store, interrupted, export=True)) == 0
    same = (
        "ledger.jsonl",
        "leaderboard.parquet",
        "export/current/recommendations.jsonl",
    )
    for file in same:
        assert (interrupted / file).read_bytes() == (finished / file).read_bytes()
    assert winner_of(interrupted) == winner_of(finished)
    assert not (interrupted / "checkpoints").exists()


def test_a_changed_grid_fits_only_what_is_new(
    store: Path, finished: Path, interrupted: Path
) -> None:
    before = ledger(finished)
    search_ok(store, interrupted, "models.als.factors=[8, 12]", "search.iterations=6")
    rows = ledger(interrupted)
    assert rows[: len(before)] == before
    new = rows[len(before) :]
    assert {
        (row["params"]["factors"], row["params"]["alpha"], row["iteration"])
        for row in new
    } == {*product([8], ALPHAS, [6]), *product([12], ALPHAS, (2, 4, 6))}


def test_when_every_trial_fails_the_winner_of_an_earlier_search_stays(
    store: Path, finished: Path, interrupted: Path, refused: Run
) -> None:
    line = refused(store, interrupted, "models.als.alpha=[1.0e+39]")
    failed = "TrialError: the factors are not finite after iteration 1"
    assert f"every trial failed ({failed})" in line
    assert winner_of(interrupted) == winner_of(finished)
    table = "leaderboard.parquet"
    assert (interrupted / table).read_bytes() == (finished / table).read_bytes()


def test_small_work_starts_no_process_and_finds_the_same(
    store: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "start_processes", None)
    assert main(search_argv(store, tmp_path / "run", export=True)) == 0
    assert winner_of(tmp_path / "run") == winner_of(finished)
    lists = "export/current/recommendations.jsonl"
    assert (tmp_path / "run" / lists).read_bytes() == (finished / lists).read_bytes()


def test_of_a_fit_the_best_and_the_latest_checkpoint_stay(
    store: Path, tmp_path: Path
) -> None:
    """And nothing of its blocks once it is done."""
    search = {"iterations": 3, "strategy": "halving"}
    config = SearchConfig(store=store, run=tmp_path, search=search)
    plan = plan_search(open_store(store), config)
    (trial,) = plan.candidates
    with locked_run(open_workspace(tmp_path)) as lock:
        state = SearchState(plan, Evaluation("data", config.validation, 1), lock)
        (tmp_path / trial.blocks_folder).mkdir(parents=True)
        for iteration, value in ((1, 0.5), (2, 0.4), (3, 0.45)):
            step = Checkpoint(trial, iteration)
            (tmp_path / step.file).write_bytes(b"factors")
            metrics = {"ndcg@30": Interval(value, value, value)}
            score = Score(trial, iteration, "scorer", metrics)
            state.record(step, score)
        left = {file.name for file in (tmp_path / CHECKPOINTS).iterdir()}
        assert left == {f"{trial.id}-1.npz", f"{trial.id}-3.npz"}
