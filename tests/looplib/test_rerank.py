"""Re-ranked lists: few tracks an artist, and tracks that are distant from those above."""

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from looplib import rerank as module
from looplib.arrays import NO_TRACK, FloatArray, Int32Array, IntArray
from looplib.rerank import Rerank, rerank

TRACKS, LISTS, LENGTH, K = 60, 7, 20, 8
ARTISTS = np.arange(TRACKS) % 6
GROUPS = {"artist": ARTISTS[np.newaxis]}


def draw_lists(rng: Generator) -> IntArray:
    lists = np.array([rng.permutation(TRACKS)[:LENGTH] for _ in range(LISTS)])
    lists[0, 5:] = NO_TRACK
    lists[1] = NO_TRACK
    return lists


def test_further_tracks_of_an_artist_come_last_in_their_order() -> None:
    lists = np.array([[0, 6, 12, 1, 7, 18, NO_TRACK]])
    best = rerank(lists, 7, Rerank(most_per={"artist": 2}), GROUPS)
    assert best.tolist() == [[0, 6, 1, 7, 12, 18, NO_TRACK]]
    assert rerank(lists, 3, Rerank(most_per={"artist": 1}), GROUPS).tolist() == [
        [0, 1, 6]
    ]


def test_categories_of_several_columns_have_limits() -> None:
    albums = np.array([[0, 0, 1, 2, 2, 3], [0, 0, 2, 2, 2, 3]])  # track 2 is on two
    groups = {"artist": np.array([[0, 0, 0, 0, 1, 1]]), "album": albums}
    lists = np.array([[0, 1, 2, 3, 4, 5]])
    for most_per, expected in (
        ({"album": 1}, [0, 2, 5, 1, 3, 4]),
        ({"album": 1, "artist": 1}, [0, 4, 5, 1, 2, 3]),
        ({"artist": 3}, [0, 1, 2, 4, 5, 3]),
        ({"genre": 1}, [0, 1, 2, 3, 4, 5]),
    ):
        best = rerank(lists, 6, Rerank(most_per=most_per), groups)
        assert best.tolist() == [expected], most_per


@pytest.mark.parametrize("has_factors", [True, False])
@pytest.mark.parametrize("most", [None, 1])
def test_each_track_is_the_best_by_relevance_and_similarity(
    has_factors: bool, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = default_rng(1)
    lists = draw_lists(rng)
    factors = rng.normal(size=(TRACKS, 4)) if has_factors else None
    options = Rerank(diversity=0.4, most_per={"artist": most} if most else {})
    best = rerank(lists, K, options, GROUPS, factors)
    expected = [choose(tracks, options, factors) for tracks in lists.tolist()]
    assert best.tolist() == expected
    assert (best[:, 0] == lists[:, 0]).all()
    monkeypatch.setattr(module, "_AT_ONCE", 100)  # a list at once
    assert np.array_equal(rerank(lists, K, options, GROUPS, factors), best)


def choose(tracks: list[int], options: Rerank, factors: FloatArray | None) -> list[int]:
    """Choose K tracks one by one, as the definition says."""

    def similarity(first: int, second: int) -> float:
        if factors is None:
            return float(ARTISTS[first] == ARTISTS[second])
        one, other = factors[first], factors[second]
        return float(one @ other / np.sqrt((one @ one) * (other @ other)))

    left = [track for track in tracks if track != NO_TRACK]
    chosen: list[int] = []
    while left and len(chosen) < K:
        values = []
        for track in left:
            relevance = 1 - tracks.index(track) / (LENGTH - 1)
            closest = max([0.0, *(similarity(track, other) for other in chosen)])
            same = sum(ARTISTS[track] == ARTISTS[other] for other in chosen)
            is_over = same >= options.most_per.get("artist", K)
            value = 0.6 * relevance - 0.4 * closest
            values.append((not is_over, value))
        chosen.append(left.pop(values.index(max(values))))
    return chosen + [NO_TRACK] * (K - len(chosen))


def test_no_lists_stay_no_lists() -> None:
    none = np.empty((0, LENGTH), np.int64)
    best: Int32Array = rerank(none, K, Rerank(diversity=0.1), GROUPS)
    assert best.shape == (0, K)
