"""Choosing by the off-policy estimate of listening time, on a world whose truth is known."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from looplib.arrays import Int32Array
from looplib.cli import run
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.errors import SearchError
from recsys.search import __main__ as search
from recsys.search.folder import LEDGER, read_run
from recsys.search.ledger import read_ledger, scores_of
from recsys.search.scorer import Scorer, resolve_split, score_lists
from recsys.search.trials import Checkpoint
from recsys.storage import open_workspace
from tests.recsys.commands import error_line, search_argv
from tests.recsys.logs import START_MS, Session, make_store

LISTENERS, TRACKS = 300, 60
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


def true_time(user: int, track: int) -> float:
    """Mean listening time of a recommended track: some tracks are liked by all, and each listener
    has its own third."""
    return 0.05 + 0.3 * (track < TRACKS // 2) + 0.5 * (track % 3 == user % 3)


def sessions_of_world(seed: int, *, propensity: float | None = None) -> list[Session]:
    """Every recommendation is drawn from all tracks, all equally likely; organic tracks are not the
    popular."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(4000):
        user = number % LISTENERS
        organic = (
            int(3 * generator.integers(TRACKS // 6, TRACKS // 3) + user % 3),
            1.0,
        )
        tracks = generator.integers(TRACKS, size=5).tolist()
        heard = [
            (track, float(generator.random() < true_time(user, track)))
            for track in tracks
        ]
        made.append(
            Session(
                user,
                START_MS + number * 86_400_000,
                [organic, *heard],
                f"s{number}",
                propensity,
            )
        )
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log without propensities, of a catalogue that is known."""
    return make_store(
        tmp_path_factory.mktemp("data"), sessions_of_world(3), tracks=TRACKS
    )


def search_by(store: Path, folder: Path, *settings: str) -> int:
    argv = search_argv(store, folder / "run", (*SETTINGS, *settings), "--no-export")
    return run(search.app, search.PROG, argv)


@pytest.fixture(scope="module")
def finished(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    assert (
        search_by(
            store,
            folder,
            "validation.select=ope_time@10",
            "validation.logging_policy=uniform",
        )
        == 0
    )
    return folder / "run"


@pytest.fixture(scope="module")
def scorer(store: Path, finished: Path) -> Scorer:
    config, winner = read_run(open_workspace(finished))
    dataset = str(store / "cache" / winner.dataset)
    return resolve_split(
        Scorer(dataset, config.validation, config.seed, threads=1), TRACKS
    )


def best_lists(dataset: Dataset) -> Int32Array:
    """Ten tracks for each listener: those that the listener's truth says."""
    best = [
        sorted(range(TRACKS), key=lambda track: -true_time(user, track))[:10]
        for user in dataset.users.tolist()
    ]
    return np.array(best, np.int32)


def test_the_estimate_is_as_near_to_the_true_listening_time_as_its_interval_says(
    scorer: Scorer,
) -> None:
    dataset = open_dataset(scorer.dataset)
    lists = best_lists(dataset)
    pairs = zip(dataset.users.tolist(), lists.tolist(), strict=True)
    truth = np.mean([[true_time(user, t) for t in tracks] for user, tracks in pairs])
    metrics = score_lists(scorer, lists, is_whole=True).metrics
    value, lower, upper = metrics["ope_time@10"]
    assert abs(value - truth) < upper - lower  # four standard errors
    assert upper - lower < 0.1


def test_what_each_listener_adds_gives_the_metric(
    scorer: Scorer, finished: Path
) -> None:
    _, winner = read_run(open_workspace(finished))
    checkpoint = Checkpoint(winner.trial, winner.iterations)
    heard = scorer.read_listeners(open_workspace(finished), checkpoint)
    assert heard[0].sum() / heard[1].sum() == pytest.approx(
        winner.metrics["ope_time@10"][0], abs=1e-12
    )


def test_the_winner_has_the_longest_listening_time(finished: Path) -> None:
    board = pq.read_table(finished / "leaderboard.parquet").to_pylist()
    _, winner = read_run(open_workspace(finished))
    assert winner.select == "ope_time@10"
    assert [row["ope_time@10"] for row in board] == sorted(
        (row["ope_time@10"] for row in board), reverse=True
    )
    assert board[0]["ope_time@10"] == winner.metrics["ope_time@10"][0]
    assert {row["model"] for row in board[-2:]} == {"popular", "most_played"}
    assert all(row["behind"] is not None for row in board)


def test_a_small_effective_sample_is_shown_with_its_reason(
    scorer: Scorer, finished: Path
) -> None:
    lists = best_lists(open_dataset(scorer.dataset))
    scored = score_lists(scorer, lists, is_whole=True)
    assert "ope_time@1" in scored.metrics
    assert list(scored.warnings) == ["ope_time@1"]
    assert "effective sample size" in scored.warnings["ope_time@1"]
    board = pq.read_table(finished / "leaderboard.parquet").to_pylist()
    assert all(
        "ope_time@1: the effective sample size" in row["warnings"] for row in board
    )


def test_choosing_by_it_without_propensities_is_refused_before_a_fit(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_by(store, tmp_path, "validation.select=ope_time@10") == 2
    assert "no held-out recommendation has a known propensity" in error_line(capsys)
    assert not (tmp_path / "run" / "ledger.jsonl").exists()


def test_a_uniform_policy_needs_the_catalogue(scorer: Scorer) -> None:
    with pytest.raises(
        SearchError,
        match=r"logging_policy is uniform, and the store does not know how many tracks",
    ):
        resolve_split(scorer, None)


def test_logged_propensities_count_for_themselves(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same sessions with the propensity in the log give the same figures, without a word on the
    policy."""
    make_store(tmp_path, sessions_of_world(3, propensity=1 / TRACKS), tracks=TRACKS)
    store = tmp_path / "store"
    assert search_by(store, tmp_path, "validation.select=ope_time@10") == 0
    assert "By ope_time@10" in capsys.readouterr().out
    _, winner = read_run(open_workspace(tmp_path / "run"))
    assert winner.metrics == read_run(open_workspace(finished))[1].metrics


def test_the_winner_has_a_figure_of_listeners_who_chose_nothing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (
        "validation.select=ope_time@10",
        "validation.logging_policy=uniform",
        "validation.test_share=0.3",
    )
    assert search_by(store, tmp_path, *settings) == 0
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
    value, lower, upper = winner.test["ope_time@10"]
    assert lower < value < upper
    assert value != winner.metrics["ope_time@10"][0]
    assert f"on the listeners who chose nothing it is {value:.4f}" in " ".join(
        winner.warnings
    )
    assert "who chose nothing" in " ".join(capsys.readouterr().err.split())
