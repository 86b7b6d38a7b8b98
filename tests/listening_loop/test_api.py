"""The Python API: data frames in, the command's engine, the owner's ids out, errors of one base."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import dask.dataframe
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from distributed import Client
from scipy.sparse import csr_matrix

import listening_loop as ll
import looplib.progress
from listening_loop.api import models, runs
from listening_loop.api.frames import to_table
from looplib.als import AlsConfig, solve_row
from looplib.progress import ProgressReport
from recsys.config import ExportConfig
from tests.botify.exports import read_lists
from tests.conftest import Run
from tests.programs import run_python

COLUMNS: dict[str, Any] = {
    "listener": "listener",
    "track": "song",
    "seconds": "seconds",
    "title": "name",
}
SETTINGS = {
    "validation.min_time": 5,
    "feedback.scale": "log",
}
pytestmark = pytest.mark.dask


def make_plays(rows: int = 3000) -> pd.DataFrame:
    """Plays of listeners who like the songs of their own third."""
    generator = np.random.default_rng(5)
    users, songs = generator.integers(60, size=rows), generator.integers(90, size=rows)
    likes = generator.random(rows) < 0.8
    songs = np.where(likes, songs // 3 * 3 + users % 3, songs)
    seconds = generator.integers(5, 200, size=rows)
    return pd.DataFrame(
        {
            "listener": [f"u{user}" for user in users],
            "song": [f"t{song}" for song in songs],
            "seconds": seconds,
            "name": [f"title {song}" if song else None for song in songs],
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ll.Store:
    return ll.ingest(make_plays(), tmp_path_factory.mktemp("api") / "store", **COLUMNS)


@pytest.fixture(scope="module")
def found(store: ll.Store, client: Client) -> ll.Run:
    models = {"als": {"factors": [4, 8], "alpha": 1}}
    return ll.search(store, models, iterations=2, client=client, settings=SETTINGS)


def test_frames_of_any_library_and_files_are_the_same_plays(
    store: ll.Store, tmp_path: Path
) -> None:
    plays = make_plays()
    plays.to_csv(tmp_path / "plays.csv", index=False)
    dask_plays = dask.dataframe.from_pandas(plays, npartitions=3)  # type: ignore[no-untyped-call]
    bare = tmp_path / "bare.csv"
    plays.to_csv(bare, index=False, header=False, sep="|")
    numbered = {"listener": "column0", "track": "column1"}
    select = "SELECT listener, song AS track, seconds, name AS title"
    query = f"{select} FROM '{tmp_path / 'plays.csv'}'"
    (tmp_path / "plays.sql").write_text(f"{select}\nFROM 'plays.csv' -- beside it\n")
    sources: Sequence[tuple[Any, dict[str, Any]]] = (
        (pa.Table.from_pandas(plays), COLUMNS),
        (dask_plays, COLUMNS),
        (polars.from_pandas(plays), COLUMNS),
        (polars.from_pandas(plays).lazy(), COLUMNS),
        (tmp_path / "plays.csv", COLUMNS),
        (bare, numbered),
        ((), {"sql": query}),
        (tmp_path / "plays.sql", {}),
    )
    for number, (data, options) in enumerate(sources):
        other = ll.ingest(data, tmp_path / str(number), **options)
        assert other.manifest.events == store.manifest.events
    times = to_table(pd.DataFrame({"heard": pd.to_timedelta([1500], unit="ms")}))
    assert times.to_pylist() == [{"heard": 1.5}]
    # a second time adds nothing
    assert ll.ingest(plays, store.address, **COLUMNS).manifest == store.manifest
    assert ll.open_store(store.address) == store


def test_a_preset_names_columns(tmp_path: Path) -> None:
    events = pd.DataFrame(
        {
            "uid": [1, 1, 2],
            "item_id": [5, 6, 5],
            "played_ratio_pct": [80, None, 100],
            "is_organic": [1, 1, 0],
            "timestamp": [5, 10, 15],
        }
    )
    assert ll.ingest(events, tmp_path / "b", preset="yambda").manifest.events == 2


@pytest.mark.parametrize(
    ("plays", "columns", "message"),
    [
        (make_plays(0), COLUMNS, "the data frame: it has no rows"),
        (
            pd.DataFrame([[1, 2, 3]], columns=["song", "song", "listener"]),
            COLUMNS,
            "Expected unique column names, got: - 'song' 2 times",
        ),
        (
            make_plays(9).assign(listener=pd.Series([1, "a", *7 * [2]], dtype=object)),
            COLUMNS,
            "Conversion failed for column listener",
        ),
        (
            make_plays(9),
            {"user": "listner", "item": "song"},
            "the data frame: no column listner; found are listener",
        ),
        (make_plays(), {"user": 0, "item": "song"}, "listener: the name of a column"),
        (make_plays(9), {"decimal": ",", **COLUMNS}, "column decimal is unknown; the"),
        (
            csr_matrix((2, 2)),
            COLUMNS,
            "csr_matrix: a data frame of pandas, polars, Arr",
        ),
    ],
)
def test_a_frame_that_cannot_be_used_is_one_line(
    plays: pd.DataFrame, columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ll.Error, match=message) as refused:
        ll.ingest(plays, tmp_path / "store", **columns)
    assert "\n" not in str(refused.value)


def test_an_ingest_says_what_it_counted_and_why_rows_were_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plays = pd.DataFrame({"who": [1, 2, 3], "song": [1, 2, 3], "w": ["1", "x", "2"]})
    ll.ingest(plays, tmp_path / "store", user="who", item="song", weight="w")
    said = capsys.readouterr().err
    assert "1 new sources: 3 lines = 2 good + 1 rejected\n" in said
    assert "         1  weight is missing or wrong: how much the play counts" in said
    assert "first the data frame:2: weight is missing" in said
    assert ": 2 plays, 2 of them new, of 1 sources in " in said


def test_a_search_with_a_client_publishes_the_bytes_of_the_command(
    store: ll.Store, found: ll.Run, client: Client, tmp_path: Path, printed: Run
) -> None:
    version = Path(found.export(tmp_path / "published"))
    (tmp_path / "search.yaml").write_text(
        f"store: {store.address}\nrun: {tmp_path / 'run'}\n"
    )
    argv = ["--config", tmp_path / "search.yaml"]
    argv += ["--scheduler", client.scheduler_info()["address"]]
    settings = {**SETTINGS, "models.als": "{factors: [4, 8], alpha: 1}"}
    settings["search.iterations"] = 2
    printed("search", *argv, *(f"--set={key}={settings[key]}" for key in settings))
    exported = tmp_path / "run/export/current/recommendations.jsonl"
    assert (version / exported.name).read_bytes() == exported.read_bytes()
    assert client.status == "running"


def test_a_run_shows_what_was_tried_and_recommends_what_it_publishes(
    found: ll.Run, tmp_path: Path
) -> None:
    board = found.leaderboard
    assert list(board["rank"]) == [1, 2, 3, 4]
    assert {"ndcg@30", "ndcg@30 lower", "ties", "settings"} <= set(board.columns)
    assert {"factors", "recall@10", *board.columns} <= set(found.metrics.columns)
    assert "<iframe" in found._repr_html_()
    lists = read_lists(found.export(tmp_path / "published"))
    recommended = found.recommend(["u17", "u3"], n=5)
    assert list(recommended["item"]) == lists["u17"][:5] + lists["u3"][:5]
    titles = [
        f"title {item[1:]}" if item != "t0" else "" for item in recommended["item"]
    ]
    assert list(recommended["title"]) == titles
    ranked = found.model.recommend(["u17"], 5)
    first = recommended[:5][ranked.columns]
    pd.testing.assert_frame_equal(ranked, first, check_dtype=False)
    assert found.recommend(["nobody"], skip_unknown=True).empty
    lists = found.sql(
        "SELECT track, score FROM lists WHERE pool = 'recommendations' "
        "AND listener IN ('u17', 'u3') AND rank <= 5 ORDER BY listener, rank"
    ).fetchall()
    assert lists == [*zip(recommended["item"], recommended["score"], strict=True)]
    similar = found.similar(["t3", "no track"], n=4, skip_unknown=True)
    assert [*similar["item"]] == [*found.model.similar(["t3"], 4)["item"]]
    assert ll.open_run(found.address).winner.trial.id == found.winner.trial.id


def test_a_run_opens_from_any_folder_and_moved_with_its_store(
    store: ll.Store, found: ll.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    shutil.copytree(store.path, "store")
    options: dict[str, Any] = {"settings": SETTINGS, "client": found.client}
    run = ll.search("store", {"item_knn": {}}, run="run", **options)
    expected = run.recommend(["u1"])
    monkeypatch.chdir(tmp_path / "second")
    assert ll.open_run("../first/run").recommend(["u1"]).equals(expected)
    shutil.rmtree(tmp_path / "first/run/export")
    (tmp_path / "first").rename(tmp_path / "third")
    opened = ll.open_run(tmp_path / "third/run")
    assert opened.recommend(["u1"]).equals(expected)
    (tmp_path / "third/store").rename(tmp_path / "third/away")
    with pytest.raises(ll.Error, match="store: ") as missing:
        ll.open_run(tmp_path / "third/run").export("published")
    assert "\n" not in str(missing.value)


def test_public_results_and_options_have_types() -> None:
    names = {"pd": pd, "Client": Client}
    methods = [
        getattr(owner, name)
        for owner in (ll.Run, ll.FactorModel)
        for name in vars(owner)
        if name[0] != "_"
    ]
    functions = [getattr(ll, name) for name in ll.__all__ if name.islower()]
    for made in (*functions, *methods):
        made = getattr(made, "fget", None) or getattr(made, "func", made)
        if callable(made) and made.__name__ != "to_implicit":
            hints = get_type_hints(made, localns=names)
            assert hints["return"] is not Any
    assert get_type_hints(runs.ExportOptions).keys() == {*ExportConfig.model_fields}


def test_damaged_scores_are_one_line(found: ll.Run) -> None:
    file = Path(found._version, "scores.npy")
    whole = file.read_bytes()
    for scores in (np.array([{}]), np.zeros((1, 1))):  # a pickle, and too few
        np.save(file, scores, allow_pickle=True)
        with pytest.raises(ll.Error, match=r"scores\.npy: damaged"):
            found.recommend(["u17"])
    file.write_bytes(whole)


def test_what_a_run_does_not_know_is_one_line(found: ll.Run) -> None:
    calls: Sequence[tuple[Callable[[], object], str]] = (
        (lambda: found.recommend(["nobody"]), "'nobody': not in the run's recommend"),
        (lambda: found.recommend(["u1"], n=99), "lists have 30"),
        (lambda: found.recommend(["u1"], n=0), "n is 0; at least 1 is expected"),
        (lambda: found.recommend(["u1"], n=2.5), "n is 2.5; at least 1 is expected"),  # type: ignore[arg-type]
        (lambda: found.similar("t1"), "a list of ids is expected"),
        (lambda: found.similar(["x"]), "'x': not in the run's similar.jsonl"),
        (lambda: found.model.similar(["t1"], -1), "n is -1; at least 1 is expected"),
        (lambda: found.model.recommend("u1"), "a list of listeners is expected"),
        (lambda: found.model.similar(["t1", "x"]), "track 'x': unknown to the model"),
        (lambda: found.model.fold_in({"x": 1}), "none of its 1 tracks is known"),
        (lambda: found.model.fold_in(["t1"]), "weights by track are expected"),  # type: ignore[arg-type]
        (
            lambda: ll.search(make_plays()),  # type: ignore[arg-type]
            "pass the store that ll.ingest returns, or its folder",
        ),
        (lambda: ll.serve(found), "Run .*: no such folder; run.export"),  # type: ignore[arg-type]
        (
            lambda: ll.search(found.config.store, client="tcp://host:1"),  # type: ignore[arg-type]
            "or no Client; an open one is needed",
        ),
    )
    for call, message in calls:
        with pytest.raises(ll.Error, match=message):
            call()


def test_a_fit_on_workers_equals_that_of_this_process_and_survives_the_death_of_one(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"iterations": 3, **COLUMNS}
    del options["title"]
    with pytest.MonkeyPatch.context() as patch:  # neither store nor cluster
        patch.setattr(models, "open_workspace", None)
        whole = ll.fit(make_plays(), {"factors": 6, "alpha": 2}, **options)
    killed: list[int] = []

    @contextmanager
    def deadly(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
        with looplib.progress.progress(title, total, unit) as report:

            def kill_and_report(done: float, note: str = "") -> None:
                if title == "Fit" and not killed:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)
                report(done, note)

            yield kill_and_report

    monkeypatch.setattr(models, "progress", deadly)
    options["client"] = client
    model = ll.fit(make_plays(), {"factors": 6, "alpha": 2}, **options)
    assert killed
    assert np.array_equal(model.user_factors, whole.user_factors)
    assert np.array_equal(model.item_factors, whole.item_factors)
    model.save(tmp_path / "model")
    loaded = ll.FactorModel.load(tmp_path / "model")
    assert loaded.recommend(["u3"]).equals(model.recommend(["u3"]))
    heard = {"t3": 100.0, "t6": 50.0, "unknown": 1.0}
    recommended = loaded.fold_in(heard, n=5)
    items = loaded.item_factors.astype(np.float64)
    is_heard = np.isin(loaded.items, list(heard))
    config = AlsConfig(factors=6, alpha=2)
    times = np.array([100.0, 50.0])
    row = solve_row(items.T @ items, items[is_heard], times, len(items), config)
    best = np.sort(items[~is_heard] @ row)[:-6:-1]
    assert recommended["score"].to_numpy() == pytest.approx(best, rel=1e-3)
    assert not set(recommended["item"]) & heard.keys()
    assert "t3" not in loaded.similar(["t3"], 4)["item"].tolist()


def test_few_listeners_with_relevant_tracks_are_said(
    store: ll.Store, client: Client
) -> None:
    settings = SETTINGS | {"validation.min_time": 550}
    run = ll.search(store, iterations=1, client=client, settings=settings)
    assert "listeners have relevant" in " ".join(run.winner.warnings)


def test_importing_starts_nothing_heavy() -> None:
    for name, heavy in (
        ("Error", {"dask", "duckdb", "numpy"}),
        ("AlternatingLeastSquares", {"dask", "duckdb", "numba", "pyarrow", "pydantic"}),
    ):
        loaded = f"import sys; from listening_loop import {name}; print(*sys.modules)"
        names = run_python("-W", "ignore", "-c", loaded).stdout.split()
        assert "listening_loop" in names
        assert not heavy & set(names)
