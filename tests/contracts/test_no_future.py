"""No future: plays that are held out decide neither which tracks exist nor how they are ranked."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from looplib.arrays import NO_TRACK, IntArray
from looplib.next_play import Ranker
from looplib.trees import Ensemble
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.interactions import load_interactions
from recsys.live.ranker import HELD_OUT, gather_facts, learn
from recsys.live.sessions import load_sessions
from recsys.models.base import IterativeModel
from recsys.models.registry import MODELS
from recsys.store.reader import open_store
from tests.botify.client import read_lines
from tests.botify.exports import read_manifest
from tests.recsys.finished import choose_another, finish_run
from tests.recsys.opened import dataset_of
from tests.recsys.plays import make_plays_store
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import Row

LISTENERS, OLDER, NEWER = 100, 24, 6  # plays of each listener in training, and held out
TRACKS, EVERY, OF_ARTIST = 2400, 8, 24  # training has every eighth track
K, SEED = 50, 7
START = 1_700_000_000
KINDS = [*MODELS, "live"]
# the column of a play's order, its value by place, and the split that holds the newer plays out
ORDERS: dict[str, tuple[Callable[[int], int], str]] = {
    "position": (lambda place: place, "newest"),
    "played_at": (lambda place: START + 86_400 * (place // NEWER) + 60 * place, "time"),
}
Store = Callable[[str, int], SearchConfig]


def draw_plays(order: str, future: int) -> list[Row]:
    """Draw plays: the older are the same for any future, the newer uniform over all tracks."""
    past, newer = np.random.default_rng(1), np.random.default_rng(future)
    value_of, _ = ORDERS[order]
    rows = []
    for listener in range(LISTENERS):
        steps = past.integers(-2, 4, OLDER).cumsum() + past.integers(TRACKS)
        tracks = [*(EVERY * steps % TRACKS), *newer.integers(TRACKS, size=NEWER)]
        rows += [
            {"u": listener, "i": track, "a": f"by {track // OF_ARTIST}", "at": value}
            for track, value in zip(tracks, map(value_of, range(30)), strict=True)
        ]
    return rows


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Ingest plays once for each order and future; return what a search of them is told."""

    @cache
    def make(order: str, future: int) -> SearchConfig:
        folder = tmp_path_factory.mktemp(f"{order}-{future}")
        columns = f"listener=u,track=i,artist=a,{order}=at"
        store = make_plays_store(folder, draw_plays(order, future), columns)
        split = {"kind": ORDERS[order][1], "holdout": NEWER / (OLDER + NEWER)}
        return SearchConfig(store=store, run=folder / "run", split=split)

    return make


def recommend(kind: str, config: SearchConfig) -> dict[str, IntArray]:
    """Rank tracks for all listeners by what the training plays teach; ids, -1 for none."""
    dataset = dataset_of(config)
    ids = np.append(dataset.tracks, NO_TRACK)
    if kind == "live":
        sessions = load_sessions(open_store(config.store), config, dataset, "training")
        older, _ = sessions.split(HELD_OUT)
        trees = learn(sessions, gather_facts(older, 1), SEED)
        ranker = Ranker(gather_facts(sessions, 1), Ensemble(trees))
        plays = sessions.plays
        lists = np.full((LISTENERS, K), NO_TRACK)
        for row, history in enumerate(np.split(plays.tracks, plays.indptr[1:-1])):
            best = ranker.rank(history)[:K]
            lists[row, : len(best)] = best
        return {"live": ids[lists]}
    train = load_interactions(dataset, "training", is_ordered=True)
    model = MODELS[kind]()
    iterations = {"iterations": 2} if isinstance(model, IterativeModel) else {}
    model.fit(train, seed=SEED, threads=1, **iterations)
    return {pool: ids[lists] for pool, lists in model.recommend_pools(K).items()}


@pytest.fixture(scope="module")
def recommended(configured: Store) -> Callable[[str, str, int], dict[str, IntArray]]:
    """Recommend by each kind once for each order and future."""
    return cache(lambda kind, *plays: recommend(kind, configured(*plays)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_future_changes_no_rank(
    recommended: Callable[..., dict[str, IntArray]], kind: str, order: str
) -> None:
    other = recommended(kind, order, 3)
    for pool, lists in recommended(kind, order, 2).items():
        assert np.array_equal(lists, other[pool])
        assert not (lists[lists != NO_TRACK] % EVERY).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_random_future_is_met_by_chance(
    recommended: Callable[..., dict[str, IntArray]], kind: str, order: str
) -> None:
    """Any track is played next with the same probability, whichever list has it.

    Hits are about a Poisson number, so four of its standard deviations are allowed.
    """
    tracks = np.array([row["i"] for row in draw_plays(order, 2)])
    future = tracks.reshape(LISTENERS, OLDER + NEWER)[:, OLDER:]
    chance = 1 - (1 - 1 / TRACKS) ** NEWER
    for lists in recommended(kind, order, 2).values():
        hits = sum(map(np.count_nonzero, map(np.isin, lists, future)))
        expected = chance * np.count_nonzero(lists != NO_TRACK)
        assert hits == pytest.approx(expected, abs=4 * expected**0.5)


@pytest.mark.parametrize("order", ORDERS)
def test_a_track_of_the_future_stays_a_target(configured: Store, order: str) -> None:
    dataset = dataset_of(configured(order, 2))
    heldout = pq.read_table(dataset.heldout).to_pylist()
    targets = {(row["user"], int(dataset.tracks[row["track"]])) for row in heldout}
    newer = [
        (row["u"], row["i"])
        for place, row in enumerate(draw_plays(order, 2))
        if place % (OLDER + NEWER) >= OLDER
    ]
    assert targets == {*newer}
    exist = {*dataset.tracks_of("training").tolist()}
    assert {track for _, track in targets} - exist


@pytest.mark.parametrize("order", ORDERS)
def test_an_export_of_the_training_plays_has_no_byte_of_the_future(
    configured: Store, order: str
) -> None:
    """Lists of the blend, factors, similar tracks, the ranker and the catalogue."""
    files = []
    older = draw_plays(order, 2)
    played = {
        row["i"] for place, row in enumerate(older) if place % (OLDER + NEWER) < OLDER
    }
    for future in (2, 3):
        config = configured(order, future)
        folder = Path(config.store).parent
        run = finish_run(folder, split=config.split)
        choose_another(run, "blend")
        options = ExportConfig(learn_from="training", live="anyway")
        version = publish_run(run, folder / "out", options)
        files.append({file.name: file.read_bytes() for file in version.iterdir()})
        section = read_manifest(version)
        assert section["data"]["tracks"] == len(played)
        assert section["live"]["published"]
        tracks = {line["track"] for line in read_lines(version / "tracks.json")}
        assert tracks == played
    first, second = files
    for name in ("manifest.json", "MODEL.md"):  # they describe the whole store, too
        first.pop(name)
    assert {name for name in first if first[name] != second[name]} == set()
