"""Published versions, read back as a service reads them."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from looplib.files import sha256_file
from looplib.rerank import Rerank, rerank
from recsys.config import ExportConfig
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.interactions import read_plays
from recsys.export import version as export_version
from recsys.ingest.pipeline import ingest
from recsys.run import read_run, write_winner
from recsys.storage import open_workspace
from tests.botify.client import read_lines
from tests.botify.exports import read_lists, read_manifest
from tests.conftest import Run
from tests.recsys.finished import choose_another
from tests.recsys.logs import random_sessions, random_store, write_log
from tests.recsys.search.quick import publish_run, search_ok

TRACKS = 90
pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    store = random_store(folder, listeners=40, tracks=TRACKS, sessions=600)
    als = ("models.als.factors=[4]", "models.als.alpha=[10.0]", "search.iterations=2")
    search_ok(store, folder / "run", *als)
    workspace = open_workspace(folder / "run")
    winner = replace(read_run(workspace)[1], beats_baselines=True)
    write_winner(workspace, winner)
    return folder / "run"


def publish(run_folder: Path, out: Path, **options: Any) -> Path:  # noqa: ANN401  of an export
    """Publish a run; returns the folder of the version."""
    return publish_run(run_folder, out, ExportConfig(**options)).resolve()


def dataset_of_version(run_folder: Path, version: Path) -> Dataset:
    digest = read_manifest(version)["data"]["dataset"]
    return open_dataset(run_folder.parent / "store" / "cache" / digest)


def test_lists_are_those_of_the_exported_factors(
    finished: Path, tmp_path: Path
) -> None:
    version = publish(finished, tmp_path)
    factors = np.load(version / "factors.npz")
    scores = factors["user_factors"] @ factors["item_factors"].T
    for row, line in enumerate(read_lines(version / "recommendations.jsonl")):
        assert line["user"] == factors["users"][row]
        assert scores[row, line["tracks"]] == pytest.approx(
            -np.sort(-scores[row])[:30], rel=1e-4, abs=1e-6
        )


def test_lists_are_re_ranked_by_the_exported_factors(
    finished: Path, tmp_path: Path
) -> None:
    deep = read_lists(publish(finished, tmp_path / "deep", top=50))
    options = {"diversity": 0.5}
    version = publish(finished, tmp_path / "out", top=10, rerank=options)
    with np.load(version / "factors.npz") as arrays:
        items = arrays["item_factors"]
    alone = {"artist": np.arange(TRACKS)[np.newaxis]}
    lists = np.array([*deep.values()])
    expected = rerank(lists, 10, Rerank(diversity=0.5), alone, items)
    assert [*read_lists(version).values()] == expected.tolist()
    assert read_manifest(version)["lists"]["rerank"]["diversity"] == 0.5


def test_an_export_without_artists_says_that_a_limit_of_them_changes_nothing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(finished, tmp_path / "out", rerank={"most_per": {"artist": 1}})
    assert "most_per.artist changes nothing, as no artist" in capsys.readouterr().err


def test_the_manifest_says_what_it_is_and_how_to_check_it(
    finished: Path, tmp_path: Path
) -> None:
    version = publish(finished, tmp_path)
    manifest = read_manifest(version)
    winner = json.loads((finished / "winner.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["parameters"] == {
        "kind": "als",
        **winner["trial"]["params"],
        "iterations": winner["iterations"],
    }
    assert manifest["metrics"] == {
        name: [*interval.values()] for name, interval in winner["metrics"].items()
    }
    assert manifest["data"]["sessions"] == 600
    assert manifest["data"]["catalogue"]["tracks"] == TRACKS
    off = {"most_per": {}, "diversity": 0.0}
    expected = {"length": 30, "filter_seen": False, "rerank": off}
    assert manifest["lists"] == expected
    assert manifest["files"]["recommendations.jsonl"]["rows"] == 40
    for name, facts in manifest["files"].items():
        assert sha256_file(version / name) == facts["sha256"]
        assert (version / name).stat().st_size == facts["bytes"]


def test_the_card_says_for_which_listeners_the_model_is_worse(
    finished: Path, tmp_path: Path
) -> None:
    version = publish(finished, tmp_path)
    dataset = dataset_of_version(finished, version)
    scores = pq.read_table(finished / "listener_scores.parquet").to_pandas()
    winner = read_run(open_workspace(finished))[1]
    values = scores[scores["trial"] == winner.trial.id].set_index("listener")["value"]
    tracks = dict(zip(dataset.users, dataset.counts("training"), strict=True))
    counts = values.index.map(tracks).to_numpy()
    thirds = np.array_split(np.argsort(counts, kind="stable"), 3)
    measured = {
        f"{counts[third[0]]} to {counts[third[-1]]}": values.iloc[third].mean()
        for third in thirds
    }
    by_tracks = {name: interval.value for name, interval in winner.by_tracks.items()}
    assert by_tracks == pytest.approx(measured)
    card = (version / "MODEL.md").read_text()
    for name, interval in winner.by_tracks.items():
        assert f"| {name} | {interval.value:.4f} | {interval.lower:.4f} …" in card
    assert "Left out: 0 of " in card
    assert f"| ndcg@30 | {winner.metrics['ndcg@30'].value:.4f} |" in card


def test_a_seen_track_is_left_out_on_request(finished: Path, tmp_path: Path) -> None:
    version = publish(finished, tmp_path, filter_seen=True)
    new = read_lines(version / "new.jsonl")
    assert read_lines(version / "recommendations.jsonl") == new


def test_what_was_heard_and_what_is_new_have_lists_of_their_own(
    finished: Path, tmp_path: Path
) -> None:
    version = publish(finished, tmp_path, top=80)
    manifest = read_manifest(version)
    times = dataset_of_version(finished, version).matrix("all")
    names = ("recommendations.jsonl", "repeat.jsonl", "new.jsonl")
    assert [manifest["files"][name]["rows"] for name in names] == [40, 40, 40]
    for row, (best, again, new) in enumerate(
        zip(*(read_lines(version / name) for name in names), strict=True)
    ):
        assert best["user"] == again["user"] == new["user"] == row
        heard = set(times[row].indices[times[row].data > 0].tolist())
        assert set(again["tracks"]) == heard
        assert not heard & set(new["tracks"])
        of_both = [track for track in best["tracks"] if track in heard]
        assert of_both == again["tracks"][: len(of_both)]


def test_a_winner_without_factors_is_published_with_those_of_the_best_als_trial(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    choose_another(tmp_path / "run", "item_knn")
    version = publish(tmp_path / "run", tmp_path / "knn")
    als_version = publish(finished, tmp_path / "als")
    manifest = read_manifest(version)
    assert manifest["parameters"]["kind"] == "item_knn"
    assert manifest["factors"] == read_manifest(als_version)["parameters"]
    for name, is_same in (
        ("factors.npz", True),
        ("history.npz", True),
        ("recommendations.jsonl", False),
    ):
        expected = (als_version / name).read_bytes()
        assert ((version / name).read_bytes() == expected) == is_same


def test_a_new_version_leaves_the_earlier_ones_and_moves_current(
    finished: Path, tmp_path: Path
) -> None:
    first = publish(finished, tmp_path)
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    second = publish(finished, tmp_path, top=10)
    assert first != second
    assert (tmp_path / "current").resolve() == second
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before
    assert publish(finished, tmp_path) == first
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before


def test_a_failed_export_leaves_what_was_there(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(finished, tmp_path)
    before = (tmp_path / "current").resolve()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        publish(finished, tmp_path, top=9)
    assert (tmp_path / "current").resolve() == before
    assert list((tmp_path / "versions").iterdir()) == [before]


def test_exports_to_one_folder_are_published_one_after_the_other(
    finished: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as threads:
        for top in (5, 6, 7, 8):
            threads.submit(publish, finished, tmp_path, top=top)
    lengths = set()
    for version in (tmp_path / "versions").iterdir():
        manifest = read_manifest(version)
        lengths.add(manifest["lists"]["length"])
    assert lengths == {5, 6, 7, 8}


def test_a_store_that_has_grown_since_is_refused(
    finished: Path, tmp_path: Path, refusal: Run
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished.parent / "store", store)
    more = write_log(
        tmp_path / "more" / "events.jsonl",
        random_sessions(6, listeners=40, tracks=TRACKS, sessions=50),
    )
    ingest([more], store)
    argv = ["--run", finished, "--store", store, "--out", tmp_path / "out"]
    assert "it has grown since; search again" in refusal("export", *argv)


def test_the_latest_plays_are_exported_in_their_order(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_version, "MOST_PLAYS", 3)
    folder = publish(finished, tmp_path)
    with np.load(folder / "latest.npz") as arrays:
        ends = arrays["counts"].cumsum()
        plays = np.split(arrays["tracks"][arrays["plays"]], ends[:-1])
    everything = read_plays(dataset_of_version(finished, folder), "all")
    newest = [everything.tracks[:end][-3:].tolist() for end in everything.indptr[1:]]
    assert [some.tolist() for some in plays] == newest


def test_no_latest_play_is_later_than_the_export(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service counts plays that are newer than the latest."""
    with np.load(publish(finished, tmp_path / "late") / "latest.npz") as arrays:
        latest = arrays["latest"]
    now_ms = int(np.median(latest))
    monkeypatch.setattr("time.time_ns", lambda: now_ms * 1_000_000)
    with np.load(publish(finished, tmp_path / "early") / "latest.npz") as arrays:
        assert arrays["latest"].tolist() == np.minimum(latest, now_ms).tolist()
