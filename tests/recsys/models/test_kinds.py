"""The kinds of model beside ALS, against plain Python, and on data that have little to say."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

from recsys.dataset.dataset import Dataset
from recsys.dataset.plays import UNKNOWN_ARTIST, read_artists, read_plays
from recsys.errors import TrialError
from recsys.models.blend import Blend, fit_logistic
from recsys.models.item_knn import ItemKnn
from recsys.models.kinds import KINDS
from recsys.models.params import ActivationParams, BlendParams, ItemKnnParams
from recsys.models.repetition import Activation, Latest, MostPlayed
from recsys.models.topk import NO_TRACK, fill_up
from tests.recsys.plays import dataset_of_plays, plays_of, random_plays
from tests.recsys.tables import Row

OWN = [name for name in KINDS if name not in ("lists", "function")]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return random_plays(3)


@pytest.fixture(scope="module")
def dataset(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of_plays(tmp_path_factory.mktemp("plays"), rows)


def training(rows: list[Row]) -> dict[int, list[int]]:
    """The first four fifths of each listener's plays."""
    heard = defaultdict(list)
    for row in rows:
        heard[row["listener"]].append(row["track"])
    return {user: tracks[: -(-4 * len(tracks) // 5)] for user, tracks in heard.items()}


def ranked(scores: dict[int, float], k: int) -> list[int]:
    return sorted(scores, key=lambda track: (-scores[track], track))[:k]


def named(dataset: Dataset, row: np.ndarray) -> list[int]:
    return [int(dataset.tracks[column]) for column in row if column != NO_TRACK]


def test_the_oldest_plays_train_and_the_newest_are_held_out(
    dataset: Dataset, rows: list[Row]
) -> None:
    plays = read_plays(dataset, "training")
    for row, (user, tracks) in enumerate(sorted(training(rows).items())):
        own = plays.tracks[plays.indptr[row] : plays.indptr[row + 1]]
        assert dataset.users[row] == user
        assert dataset.tracks[own].tolist() == tracks
    everything = read_plays(dataset, "all")
    assert everything.counts.tolist() == [60] * 40
    assert everything.age[:60].tolist() == list(range(60, 0, -1))
    artists = read_artists(dataset)
    assert [artists[i] == artists[0] for i in range(16)] == [True] * 8 + [False] * 8


def decayed(tracks: list[int]) -> dict[int, float]:
    scores: dict[int, float] = defaultdict(float)
    for position, track in enumerate(tracks):
        scores[track] += (len(tracks) - position) ** -0.4
    return scores


def counted(tracks: list[int]) -> dict[int, float]:
    return {track: tracks.count(track) for track in tracks}


def newest(tracks: list[int]) -> dict[int, float]:
    return {track: position for position, track in enumerate(tracks)}


@pytest.mark.parametrize(
    ("kind", "params", "score"),
    [
        (Activation, ActivationParams(decay=0.4), decayed),
        (MostPlayed, None, counted),
        (Latest, None, newest),
    ],
)
def test_repetition_ranks_what_was_heard_by_its_rule(
    dataset: Dataset,
    rows: list[Row],
    kind: Callable[..., Activation],
    params: ActivationParams | None,
    score: Callable[[list[int]], dict[int, float]],
) -> None:
    lists = kind(dataset, "training", params, 1, 1).lists(5, "heard")
    for row, (_, tracks) in enumerate(sorted(training(rows).items())):
        assert named(dataset, lists[row]) == ranked(score(tracks), 5)


@pytest.mark.parametrize("name", OWN)
def test_every_kind_keeps_to_its_pool_and_repeats_nothing(
    dataset: Dataset, name: str
) -> None:
    kind = KINDS[name]
    params = kind.params_type()
    model = kind(dataset, "training", params, 7, 2)
    if kind.takes_sweeps and not kind.is_baseline:
        model.sweep(2)
    heard = dataset.matrix("training").toarray() > 0
    for pool, allowed in (("all", heard | True), ("heard", heard), ("new", ~heard)):
        lists = model.lists(12, pool)  # type: ignore[arg-type]  # a pool
        for row, columns in enumerate(lists):
            known = columns[columns != NO_TRACK]
            assert len(set(known.tolist())) == len(known)
            assert allowed[row, known].all()
            assert len(known) == min(12, allowed[row].sum())
        again = kind(dataset, "training", params, 7, 1)
        if kind.takes_sweeps and not kind.is_baseline:
            again.sweep(2)
        assert np.array_equal(again.lists(12, pool), lists)  # type: ignore[arg-type]  # a pool


# the library converts matrices of its own
@pytest.mark.filterwarnings("ignore::implicit.utils.ParameterWarning")
@pytest.mark.parametrize(
    ("weighting", "peer"),
    [
        ("bm25", BM25Recommender(K=15, K1=1.2, B=0.75, num_threads=1)),
        ("cosine", CosineRecommender(K=15, num_threads=1)),
    ],
)
def test_nearest_neighbours_score_as_those_of_implicit(
    dataset: Dataset, weighting: str, peer: BM25Recommender
) -> None:
    """Lists differ where scores are equal; what they are worth does not."""
    matrix = dataset.matrix("training")
    peer.fit(matrix, show_progress=False)
    params = ItemKnnParams(neighbours=15, weighting=weighting)  # type: ignore[arg-type]  # one of them
    lists = ItemKnn(dataset, "training", params, 1, 1).lists(10)
    expected, scores = peer.recommend(
        np.arange(matrix.shape[0]), matrix, 10, filter_already_liked_items=False
    )
    products = (matrix @ peer.similarity).toarray()
    found = np.take_along_axis(products, lists.astype(np.int64), axis=1)
    assert found[:, :5] == pytest.approx(scores[:, :5], rel=1e-3)
    assert (lists == expected).mean() > 0.9


def test_the_blend_predicts_better_than_what_is_popular(dataset: Dataset) -> None:
    heldout = dataset.matrix("all").toarray() - dataset.matrix("training").toarray()

    def hits(lists: np.ndarray) -> float:
        return float(np.take_along_axis(heldout > 0, lists, axis=1).mean())

    blend = Blend(dataset, "training", BlendParams(candidates=20), 1, 2)
    popular = KINDS["popular"](dataset, "training", None, 1, 1)
    assert hits(blend.lists(8)) > hits(popular.lists(8))
    assert hits(blend.lists(8, "new")) > 1.5 * hits(popular.lists(8, "new"))


def test_a_logistic_fit_finds_the_odds() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(3, 2, size=(20_000, 2))
    odds = 0.5 * features[:, 0] - features[:, 1] - 1
    is_true = generator.random(20_000) < 1 / (1 + np.exp(-odds))
    found = fit_logistic(features, is_true)
    assert np.corrcoef(found.score(features), odds)[0, 1] > 0.999
    assert (found.weights[:2] / found.deviations).tolist() == pytest.approx(
        [0.5, -1.0], abs=0.06
    )


def test_a_constant_feature_and_one_that_separates_do_no_harm() -> None:
    features = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 5.0], [1.0, 5.0]])
    scores = fit_logistic(features, features[:, 1] > 1).score(features)
    assert np.isfinite(scores).all()
    assert scores[2] > scores[0]


def test_short_lists_are_filled_with_what_they_do_not_have() -> None:
    lists = np.array([[3, NO_TRACK, NO_TRACK], [1, 2, 3], [NO_TRACK] * 3], np.int32)
    others = np.array([[5, 3, 6], [7, 8, 9], [4, NO_TRACK, NO_TRACK]], np.int32)
    assert fill_up(lists, others).tolist() == [
        [3, 5, 6],
        [1, 2, 3],
        [4, NO_TRACK, NO_TRACK],
    ]


ODD = {
    "one track": [*plays_of(1, [5] * 9), *plays_of(2, [5] * 9)],
    "one play each": [row for user in range(9) for row in plays_of(user, [user % 3])]
    + plays_of(9, [0, 1, 2, 0, 1]),
    "all repeats": [*plays_of(1, [1, 2] * 10), *plays_of(2, [2, 3] * 10)],
    "no artist": [row | {"artist": ""} for row in random_plays(4, 6, 20, 15)],
}


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", OWN)
def test_data_that_say_little_give_lists_or_one_line(
    tmp_path: Path, rows: list[Row], name: str
) -> None:
    dataset = dataset_of_plays(tmp_path, rows)
    kind = KINDS[name]
    model = kind(dataset, "training", kind.params_type(), 1, 1)
    if name == "blend" and not has_five(rows):
        with pytest.raises(TrialError, match="no listener has five plays"):
            model.lists(3)
        return
    for pool in ("all", "heard", "new"):
        lists = model.lists(3, pool)
        assert lists.shape[0] == len(dataset.users)
        assert lists.max() < len(dataset.tracks)


def has_five(rows: list[Row]) -> bool:
    return any(len(tracks) >= 5 for tracks in training(rows).values())


def test_a_track_without_an_artist_has_none(tmp_path: Path) -> None:
    dataset = dataset_of_plays(tmp_path, ODD["no artist"])
    assert set(read_artists(dataset).tolist()) == {UNKNOWN_ARTIST}
