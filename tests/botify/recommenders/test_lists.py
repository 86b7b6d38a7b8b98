from collections import Counter

import pytest

from botify.model.model import ServedModel
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Drawn, Query
from looplib.arrays import NO_TRACK
from tests.botify.recommenders.conftest import draw, heard


def test_in_order_takes_the_best_track_of_the_list_that_is_left_and_is_sure_of_it(
    model: ServedModel,
) -> None:
    queries = [heard(0, 5), heard(0, 0, 3), heard(0, 0, 6), heard(1, 5), heard(9, 5)]
    assert draw(model, "in_order", *queries) == [
        Drawn(0, 1.0),
        Drawn(6, 1.0),
        Drawn(3, 1.0),
        EXHAUSTED,
        UNKNOWN,
    ]


@pytest.mark.parametrize(
    ("name", "query", "allowed"),
    [
        ("random", heard(0, 1, 2), {0, *range(3, 12)}),
        ("random", heard(0, *range(11)), {11}),
        ("sticky_artist", heard(0, 4), {3, 5}),
        ("sticky_artist", heard(0, 3, 4), {5}),
        ("top_pop", heard(0, 5), set(range(12)) - {5}),
        ("indexed", heard(0, 3), {0, 6, 9}),
    ],
)
def test_draws_are_uniform_and_say_so(
    model: ServedModel, name: str, query: Query, allowed: set[int]
) -> None:
    draws = 4000
    drawn = draw(model, name, *[query] * draws, seed=2)
    assert {answer.propensity for answer in drawn} == {1 / len(allowed)}
    counts = Counter(answer.track for answer in drawn)
    assert counts.keys() == allowed
    expected = draws / len(allowed)
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


@pytest.mark.parametrize(
    ("name", "query", "why"),
    [
        ("random", heard(0, *range(12)), EXHAUSTED),
        ("sticky_artist", heard(0, 3, 4, 5), EXHAUSTED),
        ("sticky_artist", heard(0, 3, NO_TRACK), UNKNOWN),
        ("top_pop", heard(0, *range(12)), EXHAUSTED),
        ("indexed", heard(0, 6, 9, 0, 3), EXHAUSTED),
        ("indexed", heard(17, 0), UNKNOWN),
    ],
)
def test_no_answer_says_why(
    model: ServedModel, name: str, query: Query, why: Drawn
) -> None:
    assert draw(model, name, query) == [why]
