"""The ranker of `live`: learned from a table of sessions, gated, published and served."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.bootstrap import divide
from botify.model.catalogue import user_number
from botify.model.model import ServedModel
from botify.model.ranker import LIVE
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Query
from botify.recommenders.registry import RECOMMENDERS, recommend
from botify.service import load_configured
from botify.settings import load_settings
from listening_loop.command import main
from looplib.arrays import NO_TRACK, FloatArray
from looplib.next_play import Ranker, describe
from looplib.progress import console
from looplib.trees import Ensemble
from recsys.config import ExportConfig, SearchConfig
from recsys.live import ranker
from recsys.live.ranker import HELD_OUT, gather_facts, learn
from recsys.live.sessions import Sessions, load_sessions
from recsys.store.ids import originals
from recsys.store.reader import open_store
from tests.botify.exports import make_settings, read_manifest
from tests.conftest import Run
from tests.recsys.finished import finish_run
from tests.recsys.opened import dataset_of
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import ingest_tables

LISTENERS, TRACKS, ARTISTS, ROUND, SESSIONS = 40, 200, 40, 30, 400
COLUMNS = "user=u,item=i,timestamp=ts,session=s,artist=a"
RNG, SEED = np.random.default_rng(0), 42
START = 1_700_000_000


def draw_plays(*, is_taste: bool) -> pd.DataFrame:
    """Draw sessions of listeners, each of whom plays tracks in a round of his own."""
    generator, rows = np.random.default_rng(3), []
    rounds = [generator.permutation(TRACKS)[:ROUND] for _ in range(LISTENERS)]
    for session in range(SESSIONS):
        user, at = session % LISTENERS, int(generator.integers(ROUND))
        for place in range(int(generator.integers(4, 12))):
            is_round = is_taste and generator.random() < 0.8
            track = rounds[user][at] if is_round else generator.integers(TRACKS)
            rows.append(
                (f"u{user}", f"t{track}", session, START + 9000 * session + place)
            )
            at = (at + 1) % ROUND
    table = pd.DataFrame(rows, columns=["u", "i", "s", "ts"])
    number = table["i"].str[1:].astype(int)
    artist = (number % ARTISTS).astype(str)
    # no artist of a tenth is known
    return table.assign(a=artist.where(number % 10 > 0))


def publish(
    folder: Path,
    plays: pd.DataFrame,
    out: Path | None = None,
) -> Any:  # noqa: ANN401  JSON
    """Export a run on plays; return the manifest's section."""
    plays.to_csv(folder / "plays.csv", index=False)
    ingest_tables(folder, folder / "plays.csv", columns=COLUMNS)
    publish_run(finish_run(folder), out or folder, ExportConfig(live=True))
    return read_manifest((out or folder) / "current")["live"]


def serve(folder: Path) -> ServedModel:
    catalogue = folder / "current" / "tracks.json"
    return load_configured(make_settings(folder, catalogue, "live"))


def sessions_of(folder: Path) -> tuple[Sessions, Any, Any]:
    """Load sessions, and the ids of listeners and tracks."""
    config = SearchConfig(store=str(folder / "store"), run=str(folder / "run"))
    store, dataset = open_store(config.store), dataset_of(config)
    users = originals(store, "users", dataset.users)
    tracks = originals(store, "items", dataset.tracks)
    return load_sessions(store, config, dataset), users, tracks


@pytest.fixture(scope="module")
def published(folder: Path) -> Path:
    publish(folder, draw_plays(is_taste=True))
    return folder


def near_by_hand(
    sessions: Iterable[list[int]], window: int = 20, backward: float = 0.5
) -> FloatArray:
    """Share of the plays near each track; plays before it count for a part."""
    near = np.zeros((TRACKS, TRACKS))
    for heard in sessions:
        for (at, one), (to, other) in product(enumerate(heard), enumerate(heard)):
            if one != other and abs(to - at) <= window:
                near[one, other] += (1 if to > at else backward) / abs(to - at)
    return shares(near)


def fail(name: str, error: Exception) -> None:
    raise AssertionError(name) from error


def shares(parts: FloatArray) -> FloatArray:
    return divide(parts, np.broadcast_to(parts.sum(axis=1, keepdims=True), parts.shape))


def test_closeness_adds_up_its_four_parts(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in ("_NEIGHBOURS", "_NEAR"):
        monkeypatch.setattr(ranker, most, TRACKS)
    plays = draw_plays(is_taste=True)
    sessions, _, tracks = sessions_of(published)
    facts = gather_facts(sessions, threads=2)
    plays["i"] = plays["i"].map({track: number for number, track in enumerate(tracks)})
    heard = plays.sort_values("ts").groupby("s")["i"].agg(list)
    by_track = plays.sort_values("i").groupby("i")
    artists, fans = by_track["a"].first().to_numpy(), by_track["u"].nunique() ** 0.25
    same = (artists[:, np.newaxis] == artists) & ~np.eye(TRACKS, dtype=np.bool_)
    near = near_by_hand(heard)
    second = near @ near
    np.fill_diagonal(second, 0)
    closeness = near * (1 + same) + shares(second) + shares(same * fans.to_numpy())
    follows = near_by_hand(heard, 1, backward=0)
    for lists, expected in ((facts.near, closeness), (facts.follows, follows)):
        for number in range(TRACKS):
            listed, found, _ = lists.gather(np.array([number]))
            row = np.zeros(TRACKS)
            row[listed] = found
            np.testing.assert_allclose(row, expected[number], 1e-5, 1e-12)


def test_live_ranks_as_the_ranker_that_was_learned(published: Path) -> None:
    sessions, users, names = sessions_of(published)
    older, _ = sessions.split(HELD_OUT)
    trees = learn(sessions, gather_facts(older, threads=1), SEED)
    learned = Ranker(gather_facts(sessions, threads=1), Ensemble(trees))
    model = serve(published)
    for row, user in enumerate(users):
        plays = sessions.plays.tracks[slice(*sessions.plays.indptr[row : row + 2])]
        for heard in plays[:2].tolist():
            history = np.append(plays, np.int32(heard))
            candidates, features = describe(history, learned.facts, [heard])
            scores = learned.trees.predict(features)
            expected = dict(zip(names[candidates].tolist(), scores, strict=True))
            numbers = [model.catalogue.numbers[names[heard]]]
            query = Query(user_number(user), numbers, [1.0], count=len(expected))
            drawn = RECOMMENDERS["live"].draw(model, query, RNG)
            ranked = [model.catalogue.ids[t] for t in (drawn.track, *drawn.following)]
            assert sorted(ranked) == sorted(expected)
            served = [expected[name] for name in ranked]  # equal ones in any order
            assert served == pytest.approx(sorted(scores, reverse=True))


def test_live_serves_new_listeners_from_their_first_play(published: Path) -> None:
    model, live = serve(published), RECOMMENDERS["live"]
    stranger, loaded = user_number("stranger"), model.get(LIVE)
    assert loaded is not None
    is_next = []
    for track in range(TRACKS):
        drawn = live.draw(model, Query(stranger, [track], [1.0]), RNG)
        followers, _, _ = loaded.facts.follows.gather(np.array([track]))
        is_next.append(drawn.track in followers)
    assert np.mean(is_next) > 0.8
    unknown = Query(stranger, [NO_TRACK], [1.0])
    assert live.draw(model, unknown, RNG) == UNKNOWN
    everything = list(range(len(model.catalogue)))
    all_heard = Query(stranger, everything, [1.0] * len(everything))
    assert live.draw(model, all_heard, RNG) == EXHAUSTED


def test_tracks_that_follow_one_another_are_predicted_better_than_by_any_rule(
    published: Path,
) -> None:
    section = read_manifest(published / "current")["live"]
    metrics = section["metrics"]
    assert metrics.keys() == {"live", "popular", "item_knn", "sticky_artist"}
    assert max(metrics, key=lambda name: metrics[name]["mrr@20"][0]) == "live"
    assert section["published"]
    assert section["ratio"][1] > 1
    assert section["sessions"] == SESSIONS // 5


def test_activation_answers_for_a_ranker_that_is_no_better_than_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plays = draw_plays(is_taste=False)
    plays.to_csv("random.csv", index=False)
    assert main(["init", "random.csv", "--columns", COLUMNS]) == 0
    out = Path("out/random/run/export")
    with console.capture() as printed:
        section = publish(tmp_path, plays, out)
    assert "live is not significantly better" in printed.get()
    assert not section["published"]
    assert section["metrics"]["live"]["precision@20"][0] > 0
    assert not (out / "current/live.npz").exists()

    settings = load_settings(Path("random-service.yaml"), {}, [])
    model = load_configured(settings)
    assert settings.warnings(model) == [
        f"arm T2: live needs live.npz, which version {model.version} lacks; instead: "
        "activation, fold_in, top_pop, random"
    ]
    heard = plays["i"][plays["u"] == "u5"]
    numbers = [model.catalogue.numbers[heard.iloc[-1]]]
    query = Query(user_number("u5"), numbers, [1.0])
    name, drawn = recommend(model, query, "live", settings.fallback, RNG, fail)
    assert name == "activation"
    assert model.catalogue.ids[drawn.track] in {*heard}

    anyway = publish_run(tmp_path / "run", tmp_path, ExportConfig(live="anyway"))
    assert read_manifest(anyway)["live"]["published"]
    assert (anyway / "live.npz").exists()


def test_a_store_without_order_is_refused_before_any_fit(
    tmp_path: Path, refusal: Run
) -> None:
    draw_plays(is_taste=True).to_csv(tmp_path / "plays.csv", index=False)
    ingest_tables(tmp_path, tmp_path / "plays.csv", columns="user=u,item=i")
    config = tmp_path / "search.yaml"
    config.write_text(
        f"store: {tmp_path / 'store'}\nrun: {tmp_path / 'run'}\nexport: {{live: true}}\n"
    )
    assert "live learns from plays in order" in refusal("search", "--config", config)


def test_sessions_of_one_track_each_leave_it_out_in_one_line(tmp_path: Path) -> None:
    plays = draw_plays(is_taste=True).drop_duplicates("s")
    with console.capture() as printed:
        assert publish(tmp_path, plays) is None
    assert "live is left out: fewer than 100 plays" in printed.get()
