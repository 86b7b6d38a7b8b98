"""`fold_in` by the factors of a version: its answers, and why it has none."""

from pathlib import Path

from botify.model.factors import FACTORS
from botify.model.model import ServedModel
from botify.recommenders.base import EXHAUSTED, UNKNOWN
from looplib.arrays import NO_TRACK
from tests.botify.recommenders.conftest import (
    ALS,
    ARTISTS,
    draw,
    heard,
    load,
    publish_twelve,
)


def test_factors_may_be_those_of_another_model_than_the_lists(tmp_path: Path) -> None:
    blend = {"kind": "blend", "window": 10}
    publish_twelve(tmp_path, parameters=blend, factors={"kind": "als", **ALS})
    bare = load(tmp_path, "indexed", fallback={"unknown": []})
    assert bare.get(FACTORS) is None, "no recommender asks for them"
    model = load(tmp_path, "fold_in")
    assert ARTISTS[draw(model, "fold_in", heard(0, 10))[0].track] == ARTISTS[10]
    assert draw(model, "in_order", heard(0, 0, 10))[0].track == 3


def test_fold_in_says_why_it_has_no_answer(
    model: ServedModel, als: ServedModel
) -> None:
    assert draw(als, "fold_in", heard(0, *range(12))) == [EXHAUSTED]
    assert draw(als, "fold_in", heard(0, NO_TRACK)) == [UNKNOWN]
    for name in ("fold_in", "live"):
        assert draw(model, name, heard(0, 1)) == [UNKNOWN], "no such artifact"


def test_a_track_that_the_catalogue_lacks_says_nothing(als: ServedModel) -> None:
    queries = heard(0, NO_TRACK, 3, 4), heard(0, 3, 4)
    with_unknown, without = draw(als, "fold_in", *queries)
    assert with_unknown == without
