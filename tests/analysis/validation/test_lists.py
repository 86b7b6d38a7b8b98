"""Lists of recommendations: what is kept of them, and what is refused."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.validation.lists import Recommended, flatten

KNOWN = np.array([3, 5, 8])


def flat(users: list[int], tracks: list[list[int]], depth: int = 2) -> Recommended:
    return flatten(np.array(users), np.array(tracks), known=KNOWN, depth=depth)


def test_an_entry_is_a_track_with_its_rank_and_the_index_of_its_listener() -> None:
    found = flat([8, 3], [[40, 41], [50, -1]])
    assert found.listeners.tolist() == [2, 2, 0]
    assert found.ranks.tolist() == [1, 2, 1]
    assert found.tracks.tolist() == [40, 41, 50]


def test_users_who_are_not_validated_and_tracks_beyond_the_depth_are_left_out() -> None:
    found = flat([2, 5, 9], [[10, 11, 12], [20, 21, 22], [30, 31, 32]])
    assert found.listeners.tolist() == [1, 1]
    assert found.tracks.tolist() == [20, 21]


def test_no_lists_are_no_entries() -> None:
    nobody = flatten(np.array([], int), np.empty((0, 2), int), known=KNOWN, depth=2)
    assert nobody.tracks.tolist() == []


def test_narrow_and_unsigned_integers_are_taken() -> None:
    users, tracks = np.array([3], np.uint32), np.array([[7, -1]], np.int32)
    assert flatten(users, tracks, known=KNOWN, depth=2).tracks.tolist() == [7]


@pytest.mark.parametrize(
    ("users", "tracks", "message"),
    [
        ([3], [[1]], "lists of 1 recommendations; metrics at 2 need at least 2"),
        ([3, 3], [[1, 2], [1, 2]], "user 3 has more than one list"),
        ([3, 5], [[1, 2], [4, 4]], "user 5: a track more than once"),
    ],
)
def test_lists_that_make_no_sense_are_refused(users: list[int], tracks: list[list[int]], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        flatten(np.array(users), np.array(tracks), known=KNOWN, depth=2)
