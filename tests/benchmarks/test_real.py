"""The table of real data, on small sets of the same shapes: no test needs the data."""

from pathlib import Path
from unittest.mock import sentinel

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from benchmarks.real import __main__ as real
from benchmarks.real import (
    deezer,
    files,
    halving,
    pairs,
    peers,
    plays,
    sequences,
    tables,
)
from benchmarks.real.unbiased_models import MODELS
from looplib.arrays import NO_TRACK, FloatArray, Int32Array
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Pool
from tests.recsys.in_process import without_processes

LISTENERS, TRACKS, PLAYS = 30, 60, 40


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    # listeners play twenty tracks around one of their own again and again
    listener = np.repeat(np.arange(LISTENERS), PLAYS)
    track = (2 * listener + generator.integers(20, size=len(listener))) % TRACKS
    position = np.tile(np.arange(PLAYS), LISTENERS)
    heard = {"listener": listener, "position": position, "track": track}
    heard["artist"] = track // 4
    sessions = {
        "UserId": listener,
        "SessionId": listener * 4 + position // 10,
        "ItemId": track,
        "Time": 1_400_000_000 + 10**6 * (listener % 7) + 1000 * position,
        "ArtistId": track // 4,
        "slice": listener % 2,
    }
    user, item = np.unique(np.stack([listener, track]), axis=1)
    levels = generator.integers(3, size=len(user))
    pairs = {"user_id:token": user, "item_id:token": item}
    folds = {"user": user, "item": item, "level": levels, "fold": item % 2 + 1}
    user = np.repeat(np.arange(LISTENERS), TRACKS // 2)
    shuffled = generator.permuted(np.tile(np.arange(TRACKS), (LISTENERS, 1)), axis=1)
    rating = generator.integers(1, 6, size=len(user))  # 5 is flawed
    ratings = {
        "user": user,
        "item": shuffled[:, : TRACKS // 2].ravel(),
        "rating": rating,
    }
    known = generator.integers(2, size=len(user))
    tables = {
        "plays_lastfm.tsv.gz": heard,
        "plays_30music.tsv.gz": heard,
        "sessions_30music.tsv.gz": sessions,
        "movielens1m_folds.tsv.gz": folds,
        "lfm2b_fl_dataset.inter.gz": pairs,
        "deezer_random_half.tsv.gz": {**ratings, "known": known},
        "deezer_other_half_known_only.tsv.gz": {
            **ratings,
            "user": user + LISTENERS,
            "known": np.ones_like(known),
        },
    }
    for name, columns in tables.items():
        files.write_table(folder / name, pd.DataFrame(columns))
    return folder


def one_of_each(kinds: peers.Kinds) -> peers.Kinds:
    """Shorten spaces to a model each; irspack's and RecTools' are left out."""
    return {
        name: (fit, {axis: values[:1] for axis, values in space.items()})
        for name, (fit, space) in kinds.items()
        if not name.endswith(("(irspack)", "(RecTools)"))
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small spaces, one model of each peer, and no processes."""
    als = {"factors": [4], "alpha": [1.0], "regularization": [0.1]}
    models = {"als": als, "activation": {}, "item_knn": {}, "blend": {}}
    monkeypatch.setitem(plays.SETTINGS, "models", models)
    monkeypatch.setitem(plays.SETTINGS, "search", {"iterations": 2})
    monkeypatch.setattr(pairs, "SPACE", als)
    monkeypatch.setattr(pairs, "SEARCH", {**pairs.SEARCH, "iterations": 2})
    few = {name: MODELS[name] for name in ("popular", "random", "als 8")}
    monkeypatch.setattr(deezer, "MODELS", few)
    monkeypatch.setattr(halving, "LFM2B", {"factors": [2, 4]})
    monkeypatch.setattr(halving, "MOVIELENS", {"factors": [2, 4]})
    for name in ("PAIRS", "PLAYS"):
        monkeypatch.setattr(peers, name, one_of_each(getattr(peers, name)))
    monkeypatch.setattr(sequences, "KINDS", one_of_each(sequences.KINDS))


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.usefixtures("quick")
@pytest.mark.filterwarnings("ignore::Warning")  # peers warn
@pytest.mark.long
def test_every_set_has_a_table(data: Path, tmp_path: Path) -> None:
    # 30Music has the shape of Last.fm, and the sets of halving differ in their columns
    sets = [name for name in real.SETS if not name.startswith("30music")]
    sets = [name for name in sets if name not in ("lfm2b-halving", "lastfm-halving")]
    with without_processes():
        real.main(data, sets, tmp_path)
    found = (tmp_path / real.TABLES).read_text()
    for title in ("Last.fm", "30Music sessions", "MovieLens-1M", "LFM-2b"):
        assert f"### {title}" in found
    for system in (
        "most played",
        "ALS (implicit): 1",
        "TIFU-KNN: 1",
        "blend (ours): 1",
        "live",
    ):
        assert f"| {system} | " in found
    assert "Spearman with the truth" in found
    files = {path.name for path in tmp_path.iterdir()}
    results = {f"peers-{name}.json" for name in ("lastfm", "lfm2b", "movielens")}
    assert files == {real.TABLES, *results}


def test_a_set_whose_files_are_missing_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real.main(tmp_path, ["lastfm"], tmp_path / "out")
    assert "lastfm: left out" in capsys.readouterr().out


class Constant:
    """A model whose lists are worth a constant."""

    def __init__(self, worth: float) -> None:
        self.worth = worth

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        return np.full((1, k), len(pool), np.int32)


def constant(_train: Interactions, worth: list[float]) -> peers.Fits:
    """Fit models of such worth after the epochs."""
    return map(Constant, worth)


def score_constant(model: peers.Lister) -> dict[str, FloatArray]:
    assert isinstance(model, Constant)
    return {"worth": np.array([model.worth, np.nan])}


def test_the_best_third_goes_on_and_its_epochs_are_chosen() -> None:
    train = Interactions(csr_matrix(np.ones((1, 1), np.float32)))
    worth = [[0.1, 0.9, 0.9], [0.3, 0.5, 0.4], [0.2, 0.6, 0.6]]
    models = peers.expand(constant, {"worth": worth})
    assert peers.choose(models, train, score_constant) == {"worth": (1, 1)}
    once = peers.expand(constant, {"worth": [[0.1], [0.3]]})
    assert peers.choose(once, train, score_constant) == {"worth": (1, 0)}
    assert peers.choose([], train, score_constant) == {}


def test_peers_whose_results_are_kept_are_not_fitted_again(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    file.write_text('{"fold-1, constant: 2": {"values": {"worth": [0.5, NaN]}}}')
    kinds: peers.Kinds = {
        "constant": (constant, {"worth": [[0.1], [0.2]]}),
        "not measured": (constant, {"worth": [[0.1]]}),
    }
    work = peers.Work(tmp_path, file, fits_peers=False)
    both = (sentinel.validation, sentinel.tested)
    results = peers.measure(work, "fold-1", kinds, both, sentinel.score)
    assert list(results) == ["constant: 2"]
    np.testing.assert_array_equal(results["constant: 2"]["worth"], [0.5, np.nan])


def test_a_difference_whose_interval_contains_0_is_tied() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    values = {"ours: 3": noise, "rule": noise - 1, "ALS (irspack): 8": noise[::-1]}
    rule, library = tables.differences(values, "ours", ["rule"], "all")
    assert rule == "all: ours less rule 1.0000 (1.0000 … 1.0000)"
    assert library.startswith("all: ours less ALS (irspack) ")
    assert library.endswith(", tied")


def test_training_plays_are_the_first_of_each_listener() -> None:
    listener, position = [7, 3, 7, 7, 3, 7, 7], [4, 1, 0, 1, 0, 2, 3]
    table = pd.DataFrame({"listener": listener, "position": position})
    is_first = plays.first_plays(table)
    assert is_first.tolist() == [False, True, True, True, True, True, True]


def test_ndcg_is_over_as_many_targets_as_a_list_can_hold() -> None:
    targets = csr_matrix(np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]))
    lists = np.array([[0, 1], [0, 1], [0, 1]], np.int32)
    ideal = 1 + 1 / np.log2(3)
    expected = [1 / ideal, np.nan, 1 / np.log2(3)]
    np.testing.assert_allclose(tables.ndcg(lists, targets), expected)
    short = np.array([[NO_TRACK, NO_TRACK]] * 3, np.int32)
    assert np.nansum(tables.ndcg(short, targets)) == 0
    assert tables.precision(lists, targets).tolist() == [0.5, 0, 0.5]
