"""Rules of repetition, against plain Python."""

from collections import defaultdict
from collections.abc import Callable

import pytest

from looplib.arrays import NO_TRACK
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.models.activation import Activation
from recsys.models.base import Model
from recsys.models.baselines import Latest, MostPlayed
from tests.recsys.plays import training_plays
from tests.recsys.tables import Row


def decayed(tracks: list[int]) -> dict[int, float]:
    scores: dict[int, float] = defaultdict(float)
    for position, track in enumerate(tracks):
        scores[track] += (len(tracks) - position) ** -0.4
    return scores


def counted(tracks: list[int]) -> dict[int, float]:
    return {track: tracks.count(track) for track in tracks}


def newest(tracks: list[int]) -> dict[int, float]:
    return {track: position for position, track in enumerate(tracks)}


@pytest.mark.parametrize(
    ("model", "score"),
    [(Activation(decay=0.4), decayed), (MostPlayed(), counted), (Latest(), newest)],
)
def test_repetition_ranks_what_was_heard_by_its_rule(
    dataset: Dataset,
    train: Interactions,
    rows: list[Row],
    model: Model,
    score: Callable[[list[int]], dict[int, float]],
) -> None:
    lists = model.fit(train, seed=1, threads=1).recommend(5, "repeat")
    for columns, tracks in zip(lists, training_plays(rows).values(), strict=True):
        scores = score(tracks)
        ranked = sorted(scores, key=lambda track: (-scores[track], track))[:5]
        best = columns[columns != NO_TRACK]
        assert dataset.tracks[best].tolist() == ranked
