"""What a fit and the table of its quality are computed by, against slow and plain ways."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sim.fitted.data import ListeningTable
from sim.fitted.reproduction import (
    NEIGHBOURS,
    co_listened,
    compare_listening,
    gini,
    spearman,
)
from sim.fitted.world import FitConfig, most_heard, tune
from sim.listening.response import raw_share


def _random_table(
    seed: int, users: int = 40, tracks: int = 60, rows: int = 500
) -> ListeningTable:
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(users, size=rows),
        rng.integers(tracks, size=rows),
        rng.exponential(size=rows),
    )
    return ListeningTable.of(users, tracks, *columns)


def _table(
    rows: dict[tuple[int, int], float], users: int, tracks: int
) -> ListeningTable:
    user, track = np.array(list(rows)).T
    return ListeningTable.of(users, tracks, user, track, np.array(list(rows.values())))


def test_equal_pairs_are_added_up_and_pairs_without_weight_left_out() -> None:
    user, track, weight = (
        np.array([1, 0, 1, 1]),
        np.array([2, 0, 2, 1]),
        np.array([1.0, 3.0, 0.5, 0.0]),
    )
    table = ListeningTable.of(2, 3, user, track, weight)
    assert (table.user.tolist(), table.track.tolist(), table.weight.tolist()) == (
        [0, 1],
        [0, 2],
        [3.0, 1.5],
    )
    assert table.popularity().tolist() == [3.0, 0.0, 1.5]
    assert table.offsets().tolist() == [0, 1, 2]
    assert table.only(np.array([1])).user.tolist() == [0]


def test_the_rank_correlation_is_that_of_an_independent_library() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        x, y = rng.integers(6, size=(2, 30)).astype(float)  # many equal values
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_co_listened_tracks_have_the_largest_cosines() -> None:
    table = _random_table(3)
    dense = np.zeros((40, 60))
    dense[table.user, table.track] = table.weight
    columns = dense / np.linalg.norm(dense, axis=0)
    cosines = columns.T @ columns
    np.fill_diagonal(cosines, 0.0)
    for track, found in enumerate(co_listened(table, np.arange(60))):
        assert (
            found.tolist()
            == np.argsort(-cosines[track], kind="stable")[: len(found)].tolist()
        )
        assert len(found) == min(NEIGHBOURS, np.count_nonzero(cosines[track]))


def test_a_table_reproduces_itself_and_one_of_other_listening_does_not() -> None:
    table = _random_table(4)
    same = compare_listening(table, table, seed=0)
    assert same["popularity"] == pytest.approx(1.0)
    assert same["co_listening"] == 1.0
    other = compare_listening(table, _random_table(5), seed=0)
    assert abs(other["popularity"]) < 0.5
    assert abs(other["co_listening"] - other["chance"]) < 0.1


def test_tracks_heard_alone_are_not_compared() -> None:
    table = _table({(0, 0): 1.0, (1, 1): 1.0, (1, 2): 1.0}, users=2, tracks=4)
    assert compare_listening(table, table, seed=0)["tracks"] == 2
    alone = _table({(0, 0): 1.0}, users=1, tracks=2)
    assert np.isnan(compare_listening(alone, alone, seed=0)["co_listening"])


def test_the_tracks_heard_most_come_first_and_ties_by_number() -> None:
    table = _table(
        {(0, 0): 1.0, (0, 1): 4.0, (0, 2): 4.0, (1, 3): 5.0}, users=2, tracks=6
    )
    assert most_heard(table, 9) == [([1, 2, 0], [4.0, 4.0, 1.0]), ([3], [5.0])]
    assert most_heard(table, 1) == [([1], [4.0]), ([3], [5.0])]


def test_the_gini_coefficient_is_the_mean_difference_over_twice_the_mean() -> None:
    values = np.random.default_rng(2).exponential(size=200)
    expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(expected)
    assert gini(np.ones(5)) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 1])) == pytest.approx(3 / 4)


def test_listeners_count_alike_however_much_they_heard() -> None:
    little, much = {(0, 0): 1.0, (1, 1): 1.0}, {(0, 0): 1.0, (1, 1): 1000.0}
    assert (
        _table(much, 2, 2).shares().popularity().tolist()
        == _table(little, 2, 2).popularity().tolist()
    )


def test_what_is_tuned_gives_what_is_wanted() -> None:
    rng = np.random.default_rng(6)
    directions = rng.normal(size=(500, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    interests = rng.integers(500, size=300)
    nearest = np.argsort(-directions[interests] @ directions.T, axis=1)[:, :10]
    bias, sharpness = rng.uniform(1, 5.9, size=300), rng.uniform(0.3, 1.2, size=300)
    config = FitConfig(random_listening=2.5, near_share=0.8)
    squared_length, bias_shift, near_share = tune(
        directions, interests, bias, sharpness, config
    )
    shares = raw_share(
        squared_length * directions[interests] @ directions.T,
        (bias + bias_shift)[:, None],
        sharpness[:, None],
    )
    assert np.take_along_axis(shares, nearest, axis=1).mean() == pytest.approx(
        0.8, abs=0.01
    )
    assert near_share == pytest.approx(0.8, abs=0.01)
    share = shares.mean(axis=1)
    assert 1 + (5 * share / (1 - share)).mean() == pytest.approx(2.5, abs=0.1)
