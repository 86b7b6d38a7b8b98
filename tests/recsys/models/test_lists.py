"""Lists of other models, in the pools of a dataset."""

import numpy as np

from looplib.arrays import NO_TRACK
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.dataset.lists import lists_name
from recsys.models.lists import FixedLists


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
