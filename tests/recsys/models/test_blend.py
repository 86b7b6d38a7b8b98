"""The blend against popular tracks, for each moment that it learns from."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, Plays
from recsys.models.baselines import Popular
from recsys.models.blend import Blend


@pytest.mark.slow
def test_the_blend_predicts_better_than_what_is_popular(
    dataset: Dataset, train: Interactions
) -> None:
    heldout = dataset.matrix("all").toarray() - train.matrix.toarray()

    def hits(lists: np.ndarray) -> float:
        return float(np.take_along_axis(heldout > 0, lists, axis=1).mean())

    blend = Blend().fit(train, seed=1, threads=2)
    popular = Popular().fit(train, seed=1, threads=1)
    assert hits(blend.recommend(8)) > hits(popular.recommend(8))
    new = hits(popular.recommend(8, "new"))
    assert hits(blend.recommend(8, "new")) > 1.5 * new


def draw_sessions(listeners: int, sessions: int) -> Interactions:
    """Draw sessions of 40 plays among ten tracks, which come again 20 sessions later."""
    generator = np.random.default_rng(1)
    tracks = np.concatenate(
        [
            10 * (session % 20) + generator.integers(10, size=40)
            for _ in range(listeners)
            for session in range(sessions)
        ]
    ).astype(np.int32)
    indptr = np.arange(listeners + 1) * 40 * sessions
    counts = (np.ones(len(tracks), np.float32), tracks, indptr)
    matrix = csr_matrix(counts, (listeners, 200), copy=True)
    matrix.sum_duplicates()  # sorts its tracks
    return Interactions(matrix, plays=Plays(indptr, tracks))


@pytest.mark.slow
def test_what_is_learned_of_a_moment_is_the_same_for_any_number_of_threads() -> None:
    train = draw_sessions(60, 3)
    lists = {}
    for moment in ("now", "tomorrow"):
        first = Blend(moment=moment).fit(train, seed=1, threads=1)
        second = Blend(moment=moment).fit(train, seed=1, threads=3)
        assert np.array_equal(first.scored[0].data, second.scored[0].data)
        lists[moment] = first.recommend(10)
    assert not np.array_equal(lists["now"], lists["tomorrow"])


@pytest.mark.slow
def test_without_artists_or_plays_lists_are_full() -> None:
    train = draw_sessions(1, 60)
    plays = train.ordered_plays
    matrix = vstack([train.matrix, csr_matrix((1, 200))], "csr", np.float32)
    indptr = np.array([*plays.indptr, plays.indptr[-1]])
    train = Interactions(matrix, plays=Plays(indptr, plays.tracks))
    lists = Blend().fit(train, seed=1, threads=1).recommend(20)
    assert lists.min() >= 0
    assert [len(set(best)) for best in lists.tolist()] == [20, 20]
