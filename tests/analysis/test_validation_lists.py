"""Lists of recommendations: what is kept of them."""

import numpy as np

from analysis.validation import align

LISTENERS = np.array([3, 5, 8])
NOBODY = [-1, -1]


def aligned(users: list[int], tracks: list[list[int]]) -> list[list[int]]:
    found: list[list[int]] = align(
        np.array(users), np.array(tracks), listeners=LISTENERS, depth=2
    ).tolist()
    return found


def test_lists_come_in_the_order_of_the_known_users_without_others() -> None:
    assert aligned([8, 3], [[40, 41], [50, -1]]) == [[50, -1], NOBODY, [40, 41]]
    assert aligned([2, 5, 9], [[10, 11, 12], [20, 21, 22], [30, 31, 32]]) == [
        NOBODY,
        [20, 21],
        NOBODY,
    ]


def test_no_lists_and_narrow_integers_are_taken() -> None:
    assert (
        align(
            np.array([], int), np.empty((0, 2), int), listeners=LISTENERS, depth=2
        ).tolist()
        == [NOBODY] * 3
    )
    users, tracks = np.array([3], np.uint32), np.array([[7, -1]], np.int32)
    assert align(users, tracks, listeners=LISTENERS, depth=2)[0].tolist() == [7, -1]
