"""Lists of other models, in the pools of a dataset."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest
from implicit.bpr import BayesianPersonalizedRanking

from looplib.arrays import NO_TRACK
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.dataset.lists import lists_name
from recsys.errors import TrialError
from recsys.models import lists
from recsys.models.lists import FixedLists, Function


def bpr(heard: Any) -> Any:  # noqa: ANN401
    model = BayesianPersonalizedRanking(random_state=1, iterations=5, num_threads=1)
    model.fit(heard, show_progress=False)
    return model.recommend(np.arange(heard.shape[0]), heard, N=4)[0]


def wrong(heard: Any) -> Any:  # noqa: ANN401
    return np.full((heard.shape[0], 2), heard.shape[1])


@pytest.fixture(autouse=True)
def _entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{name}", lists.GROUP) for name in ("bpr", "wrong")
    )
    monkeypatch.setattr(EntryPoint, "load", lambda point: globals()[point.name])
    monkeypatch.setattr(lists, "entry_points", lambda group: points.select(group=group))


def test_lists_of_a_file_are_cut_to_their_pool(
    dataset: Dataset, train: Interactions
) -> None:
    generator = np.random.default_rng(1)
    size = len(dataset.tracks)
    best = generator.permuted(np.tile(np.arange(size), (40, 1)), axis=1)[:, :9]
    best[3] = NO_TRACK
    best[4, 5:] = NO_TRACK
    with dataset.workspace.create(lists_name("d")) as file:
        np.save(file, best.astype(np.int32))
    model = FixedLists(name="mine", digest="d").fit(train, seed=1, threads=1)
    assert np.array_equal(model.recommend(4), best[:, :4])
    heard = train.matrix.toarray() > 0
    for pool, allowed in (("repeat", heard), ("new", ~heard)):
        for row, columns in enumerate(model.recommend(9, pool)):  # type: ignore[arg-type]  # a pool
            kept = [track for track in best[row] if track >= 0 and allowed[row, track]]
            assert columns.tolist() == kept + [NO_TRACK] * (9 - len(kept))


def test_a_function_of_an_entry_point_is_fitted_to_the_split(
    train: Interactions,
) -> None:
    model = Function(name="bpr").fit(train, seed=1, threads=1)
    heard = train.matrix.toarray()
    assert not heard[np.arange(40)[:, None], model.recommend(4, "new")].any()
    for name, message in (
        ("wrong", r"wrong returned int64 of shape \(40, 2\); columns from -1 to"),
        ("none", "no entry point none of the group .*; there are bpr, wrong"),
    ):
        with pytest.raises(TrialError, match=message):
            Function(name=name).fit(train, seed=1, threads=1)
