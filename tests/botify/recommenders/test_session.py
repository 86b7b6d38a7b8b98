from pathlib import Path

import pytest

from botify.model.factors import FACTORS
from botify.model.model import ServedModel
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Query
from looplib.arrays import NO_TRACK
from tests.botify.recommenders.conftest import (
    ALS,
    ARTISTS,
    draw,
    heard,
    load,
    publish_twelve,
)


def test_contextual_takes_the_nearest_track_to_what_was_heard_for_long(
    als: ServedModel,
) -> None:
    for times, artist in (([1.0, 0.05], 0), ([0.05, 1.0], 1)):
        (drawn,) = draw(als, "contextual", heard(0, 0, 3, times=times))
        assert drawn.track not in {0, 3}
        assert ARTISTS[drawn.track] == artist


@pytest.mark.parametrize(
    ("query", "track"),
    [
        (heard(0, 10, times=[1.0]), 9),  # near a liked one, tracks rise
        (heard(0, 1, times=[0.3]), 0),
        (heard(0, 1, times=[0.0]), 3),  # near a skipped one, they sink
        (heard(0, 4, 7), 6),  # what was heard last counts most
        (heard(0, 7, 4), 3),
    ],
)
def test_session_als_re_ranks_the_list(
    als: ServedModel, query: Query, track: int
) -> None:
    (drawn,) = draw(als, "session_als", query)
    assert drawn.track == track


def test_factors_may_be_those_of_another_model_than_the_lists(tmp_path: Path) -> None:
    blend = {"kind": "blend", "window": 10}
    publish_twelve(tmp_path, parameters=blend, factors={"kind": "als", **ALS})
    model = load(tmp_path, "session_als")
    assert draw(model, "session_als", heard(0, 10))[0].track == 9
    assert draw(model, "in_order", heard(0, 0, 10))[0].track == 3


def test_no_answer_says_why(model: ServedModel, als: ServedModel) -> None:
    assert draw(als, "contextual", heard(0, *range(12))) == [EXHAUSTED]
    assert draw(als, "session_als", heard(0, 0, 3, 6, 9)) == [EXHAUSTED]
    assert draw(als, "session_als", heard(17, 0)) == [UNKNOWN]
    for name in ("contextual", "session_als", "fold_in", "next_track"):
        assert draw(model, name, heard(0, 1)) == [UNKNOWN], "no such artifact"


def test_a_track_that_the_catalogue_lacks_says_nothing(als: ServedModel) -> None:
    queries = heard(0, NO_TRACK, 3, 4), heard(0, 3, 4)
    with_unknown, without = draw(als, "contextual", *queries)
    assert with_unknown == without
    assert draw(als, "contextual", heard(0, NO_TRACK)) == [UNKNOWN]
    factors = als.get(FACTORS)
    assert factors is not None
    assert factors.solve([NO_TRACK], [1.0]) is None
    assert factors.solve([3], [0.2]) is not None
