"""Lists of recommendations: what is kept of them, and what is refused."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.validation import align

KNOWN = np.array([3, 5, 8])
NOBODY = [-1, -1]


def aligned(users: list[int], tracks: list[list[int]]) -> list[list[int]]:
    found: list[list[int]] = align(
        np.array(users), np.array(tracks), known=KNOWN, depth=2
    ).tolist()
    return found


def test_lists_come_in_the_order_of_the_known_users_without_others() -> None:
    assert aligned([8, 3], [[40, 41], [50, -1]]) == [[50, -1], NOBODY, [40, 41]]
    assert aligned([2, 5, 9], [[10, 11, 12], [20, 21, 22], [30, 31, 32]]) == [
        NOBODY,
        [20, 21],
        NOBODY,
    ]


def test_no_lists_and_narrow_and_unsigned_integers_are_taken() -> None:
    assert (
        align(np.array([], int), np.empty((0, 2), int), known=KNOWN, depth=2).tolist()
        == [NOBODY] * 3
    )
    users, tracks = np.array([3], np.uint32), np.array([[7, -1]], np.int32)
    assert align(users, tracks, known=KNOWN, depth=2)[0].tolist() == [7, -1]


@pytest.mark.parametrize(
    ("users", "tracks", "message"),
    [
        ([3], [[1]], "lists of 1 recommendations; metrics at 2 need at least 2"),
        ([3, 3], [[1, 2], [1, 2]], "user 3 has more than one list"),
        ([3, 5], [[1, 2], [4, 4]], "user 5: a track more than once"),
    ],
)
def test_lists_that_make_no_sense_are_refused(
    users: list[int], tracks: list[list[int]], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        aligned(users, tracks)
