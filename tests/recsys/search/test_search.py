"""The search as a user runs it: a real store, the run folder it leaves.

One search runs on a real cluster of processes; the others, which must find the same, run their
calls in the test's.
"""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from looplib.als import AlsConfig
from looplib.cli import run
from looplib.config import load_config
from recsys.cluster import cluster
from recsys.config import SearchConfig
from recsys.dataset.dataset import open_dataset
from recsys.search import __main__ as search
from recsys.search.folder import Winner, read_winner
from recsys.workspace import open_workspace
from tests.recsys.commands import search_argv
from tests.recsys.fits import fit_als
from tests.recsys.ledgers import ledger_rows as ledger
from tests.recsys.ledgers import untimed
from tests.recsys.logs import Session, make_store, random_sessions
from tests.recsys.search.quick import (
    QUICK,
    TRACKS,
    draw_sessions,
    refusal,
    search_ok,
)

pytestmark = pytest.mark.usefixtures("no_reports")

BASELINES = {"popular", "most_played", "latest"}


def of_one_metric(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of fits on their way."""
    return [row for row in rows if len(row["metrics"]) == 1]


def winner_of(run_folder: Path) -> Winner:
    return read_winner(open_workspace(run_folder))


def results(run_folder: Path) -> list[str]:
    return untimed(ledger(run_folder))


@pytest.fixture(scope="module")
def finished(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that started two processes of its own."""
    folder = tmp_path_factory.mktemp("search") / "run"
    argv = search_argv(store, folder, [*QUICK, "cluster.workers=2"])
    assert run(search.app, search.PROG, argv) == 0
    return folder


def test_a_winner_without_factors_is_exported_with_those_of_the_best_als_trial(
    store: Path, tmp_path: Path
) -> None:
    settings = [
        *("models.als.factors=[1]", "models.als.alpha=[1.0, 2.0]"),
        *("search.iterations=2", "validation.resamples=100"),
        "models.activation.decay=[0.5]",
        "export.publish_anyway=true",
    ]
    search_ok(store, tmp_path / "run", settings=settings)
    winner = read_winner(open_workspace(tmp_path / "run"))
    table = pq.read_table(tmp_path / "run/leaderboard.parquet").to_pylist()
    best = next(row for row in table if row["model"] == "als")
    assert winner.trial.kind == "activation"
    assert winner.factors is not None
    assert winner.factors.trial.id == best["trial"]
    assert winner.factors.iteration == best["iteration"]
    manifest = json.loads((tmp_path / "run/export/current/manifest.json").read_text())
    assert manifest["factors"]["alpha"] == winner.factors.trial.params["alpha"]
    assert manifest["files"].keys() >= {"repeat.jsonl", "new.jsonl", "factors.npz"}


def test_the_ledger_has_a_row_for_each_trial_and_scored_iteration_and_the_baselines(
    finished: Path,
) -> None:
    """The last has every metric; another has them of a trial that was better before its end."""
    rows = ledger(finished)
    whole = [row for row in rows if row not in of_one_metric(rows)]
    assert len(rows) == 4 * 2 + 3 + sum(row["iteration"] == 2 for row in whole)
    assert {row["trial"] for row in whole} == {row["trial"] for row in rows}
    curves = {
        (row["params"]["factors"], row["params"]["alpha"], row["iteration"])
        for row in rows
        if row["model"] == "als"
    }
    assert curves == {
        (factors, alpha, sweep)
        for factors in (4, 8)
        for alpha in (1.0, 10.0)
        for sweep in (2, 4)
    }
    assert {row["model"] for row in rows} == {"als", *BASELINES}
    for row in rows:
        assert row["error"] is None
        for value, lower, upper in row["metrics"].values():
            assert lower <= value <= upper


def test_the_effective_configuration_is_kept_with_its_defaults(finished: Path) -> None:
    config = load_config(SearchConfig, finished / "config.yaml")
    assert config.models["als"]["factors"] == (4, 8)
    assert config.models["als"]["cg_steps"] == (3,)
    assert config.split.holdout == 0.15
    assert config.validation.test_share is None


def test_a_scored_row_is_what_a_fit_by_hand_scores(finished: Path, store: Path) -> None:
    """One row of the ledger, from the dataset's arrays and plain Python."""
    winner = json.loads((finished / "winner.json").read_text())
    dataset = open_dataset(store / "cache" / winner["dataset"])
    config = AlsConfig(**winner["trial"]["params"])
    seed, iterations = winner["trial"]["seed"], winner["iterations"]
    model = fit_als(dataset.matrix("training"), config, seed, iterations)
    lists = model.recommend(30)
    relevant: dict[int, set[int]] = {}
    for row in pq.read_table(dataset.heldout).to_pylist():
        if row["time"] >= 0.5:
            relevant.setdefault(row["user"], set()).add(row["track"])
    ndcg = []
    for user, tracks in relevant.items():
        gain = sum(
            1 / np.log2(rank + 2)
            for rank, track in enumerate(lists[user].tolist())
            if track in tracks
        )
        ndcg.append(
            gain / sum(1 / np.log2(rank + 2) for rank in range(min(30, len(tracks))))
        )
    assert winner["metrics"]["ndcg@30"][0] == pytest.approx(np.mean(ndcg), abs=1e-9)


@pytest.mark.slow
def test_the_result_is_the_same_for_any_number_of_workers_threads_and_partitions(
    finished: Path, tmp_path: Path
) -> None:
    store = make_store(tmp_path, draw_sessions(), tracks=TRACKS, partitions=1)
    settings = [*QUICK, "cluster.threads_per_fit=2"]
    search_ok(store, tmp_path / "run", settings=settings)
    exported = "export/current/recommendations.jsonl"
    assert (tmp_path / "run" / exported).read_bytes() == (
        finished / exported
    ).read_bytes()
    assert results(tmp_path / "run") == results(finished)


@pytest.mark.slow
def test_halving_stops_early_and_says_when(store: Path, tmp_path: Path) -> None:
    """That workers and their order change nothing is claimed of the schedule, and of a grid."""
    halving = ["search.strategy=halving", "models.als.regularization=[1.0, 1e5]"]
    settings = [*QUICK, *halving, "search.iterations=6"]
    search_ok(store, tmp_path / "run", "--no-export", settings=settings)
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    pruned = [row for row in board if row["state"] == "pruned"]
    assert {row["regularization"] for row in pruned} == {1e5}
    assert 3 in {row["stopped_at"] for row in pruned}


@pytest.mark.slow
def test_a_search_goes_on_beyond_the_edges_of_its_axes(
    store: Path, tmp_path: Path
) -> None:
    """As far as that is better or allowed, and the same if it was interrupted."""
    run = tmp_path / "run"
    expand = [*QUICK, "models.als.regularization=[1e3, 1e4]", "search.expand=true"]
    search_ok(store, run, "--no-export", settings=expand)
    (said,) = [
        text
        for text in json.loads((run / "winner.json").read_text())["warnings"]
        if text.startswith("Beyond the edges of the axes")
    ]
    assert "reg 100" in said
    tried = {row["params"]["regularization"] for row in ledger(run) if row["params"]}
    assert 100.0 in tried
    found = results(run)
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"regularization":100' not in line]
    (run / "ledger.jsonl").write_bytes(b"".join(kept))
    search_ok(store, run, "--no-export", settings=expand)
    assert sorted(results(run)) == sorted(found)
    search_ok(store, run, "--no-export", settings=[*expand, "search.expand_trials=1"])
    texts = json.loads((run / "winner.json").read_text())["warnings"]
    (said,) = [text for text in texts if text.startswith("Beyond")]
    assert said.count("als factors") == 1
    search_ok(store, run, "--no-export", settings=[*expand, "search.expand=false"])
    texts = json.loads((run / "winner.json").read_text())["warnings"]
    assert any("or set search.expand: true" in text for text in texts)


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
    assert run(search.app, search.PROG, search_argv(store, interrupted, QUICK)) == 0
    same = (
        "ledger.jsonl",
        "leaderboard.parquet",
        "export/current/recommendations.jsonl",
    )
    for file in same:
        assert (interrupted / file).read_bytes() == (finished / file).read_bytes()
    assert winner_of(interrupted) == winner_of(finished)
    assert not (interrupted / "checkpoints").exists()


def test_a_torn_ledger_costs_the_torn_step(
    store: Path, finished: Path, interrupted: Path
) -> None:
    whole = (finished / "ledger.jsonl").read_bytes()
    (interrupted / "ledger.jsonl").write_bytes(whole[:-40])
    search_ok(store, interrupted, "--no-export")
    kept = len(whole.splitlines(keepends=True)) - 1
    assert (interrupted / "ledger.jsonl").read_bytes().splitlines()[
        :kept
    ] == whole.splitlines()[:kept]
    assert results(interrupted) == results(finished)
    assert winner_of(interrupted) == winner_of(finished)


def test_a_changed_grid_fits_only_what_is_new(
    store: Path, finished: Path, interrupted: Path
) -> None:
    before = ledger(finished)
    settings = [*QUICK, "models.als.factors=[8, 12]", "search.iterations=6"]
    search_ok(store, interrupted, "--no-export", settings=settings)
    rows = ledger(interrupted)
    assert rows[: len(before)] == before
    new = rows[len(before) :]
    assert {
        (row["params"]["factors"], row["params"]["alpha"], row["iteration"])
        for row in new
    } == {
        *((8, alpha, 6) for alpha in (1.0, 10.0)),
        *((12, a, sweep) for a in (1.0, 10.0) for sweep in (2, 4, 6)),
    }
    board = pq.read_table(interrupted / "leaderboard.parquet").to_pylist()
    assert sorted(row["factors"] for row in board if row["model"] == "als") == [
        8,
        8,
        12,
        12,
    ]


def steps(rows: list[dict[str, Any]]) -> set[tuple[str, str, int]]:
    return {(row["scorer"], row["trial"], row["iteration"]) for row in rows}


@pytest.mark.slow
def test_scores_of_other_data_or_by_another_scorer_never_mix(
    finished: Path, interrupted: Path, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "other", draw_sessions(6), tracks=TRACKS)
    settings = [*QUICK, "models.als.alpha=[10.0]"]
    search_ok(store, interrupted, "--no-export", settings=settings)
    before, rows = ledger(finished), ledger(interrupted)
    assert len(steps(rows)) == len(steps(before)) + 2 * 2 + 3
    board = pq.read_table(interrupted / "leaderboard.parquet").to_pylist()
    assert {row["trial"] for row in board} == {
        row["trial"] for row in rows[len(before) :]
    }
    search_ok(
        store,
        interrupted,
        "--no-export",
        settings=[*settings, "validation.min_time=0.4"],
    )
    assert len(steps(ledger(interrupted))) == len(steps(rows)) + 2 * 2 + 3


def test_when_every_trial_fails_there_is_no_winner_nor_one_of_an_earlier_search(
    store: Path, interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(
        capsys,
        search_argv(store, interrupted, [*QUICK, "models.als.alpha=[1.0e+39]"]),
    )
    assert (
        "every trial failed (TrialError: the factors are not finite after iteration 1)"
        in line
    )
    assert not (interrupted / "winner.json").exists()
    assert not (interrupted / "leaderboard.parquet").exists()


@pytest.mark.slow
def test_a_listener_the_model_does_not_know_counts_and_gets_the_popular_tracks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = random_sessions(6, listeners=20, tracks=60, sessions=300)
    newcomer = Session(999, sessions[-1].start_ms, [(1, 0.0), (2, 0.0)], "newcomer")
    store = make_store(tmp_path, [*sessions, newcomer], tracks=60)
    monkeypatch.setattr("sys.argv", ["bin of mine/listening-loop"])
    search_ok(store, tmp_path / "my run")
    serve = shlex.split(capsys.readouterr().out.splitlines()[-1].split("lists: ")[1])
    export = tmp_path / "my run/export"
    assert serve == [*sys.argv, "serve", "--published", str(export)]
    text = (export / "current/recommendations.jsonl").read_text()
    lists = [json.loads(line) for line in text.splitlines()]
    assert [line["user"] for line in lists] == [*range(20), 999]
