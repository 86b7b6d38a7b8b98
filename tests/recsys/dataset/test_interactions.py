"""What models are fitted to, read from a dataset."""

from pathlib import Path

import numpy as np

from looplib.categories import UNKNOWN
from recsys.dataset.interactions import load_interactions
from tests.recsys.plays import dataset_of_plays, random_plays, training_plays


def test_the_oldest_plays_train_and_the_newest_are_held_out(tmp_path: Path) -> None:
    rows = random_plays(3, plays=11)
    dataset = dataset_of_plays(tmp_path, rows)
    train = load_interactions(dataset, "training", is_ordered=True)
    plays = train.ordered_plays
    for row, (user, tracks) in enumerate(sorted(training_plays(rows).items())):
        columns = plays.tracks[plays.indptr[row] : plays.indptr[row + 1]]
        assert dataset.users[row] == user
        assert dataset.tracks[columns].tolist() == tracks
    everything = load_interactions(dataset, "all", is_ordered=True).ordered_plays
    assert everything.counts.tolist() == [11] * 40
    assert everything.age[:11].tolist() == list(range(11, 0, -1))
    (artists,) = train.features.groups
    assert [artists[i] == artists[0] for i in range(16)] == [True] * 8 + [False] * 8


def test_what_it_counts_is_that_of_the_matrix_by_track_too(tmp_path: Path) -> None:
    rows = [row | {"artist": ""} for row in random_plays(4, 6, 20, 15)]
    train = load_interactions(dataset_of_plays(tmp_path, rows), "training")
    times = train.matrix.toarray()
    assert np.array_equal(train.by_track.toarray(), times.T)
    assert train.popularity.tolist() == (times > 0).sum(axis=0).tolist()
    assert train.counts.tolist() == (times > 0).sum(axis=1).tolist()
    order = np.argsort(-times.sum(axis=0), kind="stable")
    assert train.by_popularity[:5].tolist() == order[:5].tolist()
    assert set(train.features.groups.ravel().tolist()) == {UNKNOWN}
    assert train.plays is None
    some = train.select(np.array([1, 4]))
    assert np.array_equal(some.matrix.toarray(), times[[1, 4]])
    assert some.by_popularity[:5].tolist() == order[:5].tolist()
