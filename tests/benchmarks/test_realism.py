"""Figures of simulated listeners: the recommenders that they are measured under."""

import numpy as np

from benchmarks.realism import (
    lift,
    listen,
    recommend_from,
    recommend_same_artist,
    skipped_at,
)
from sim.listening.sessions import ListeningModel
from tests.sim.conftest import demo_config, demo_model, demo_world

__all__ = ["demo_config", "demo_model", "demo_world"]


def test_the_same_artist_recommender_stays_with_the_artist(
    demo_model: ListeningModel,
) -> None:
    artist = demo_model.world.artist
    sessions = listen(demo_model, recommend_same_artist, np.arange(50), seed=4)
    for row in range(50):
        assert len(set(artist[sessions.played(row)].tolist())) == 1


def test_lists_are_those_of_the_opening_track(demo_model: ListeningModel) -> None:
    tracks = demo_model.world.tracks
    lists = (np.arange(tracks)[:, None] + np.arange(3)) % tracks
    sessions = listen(demo_model, recommend_from(lists), np.arange(50), seed=1)
    for row in range(50):
        first, *others = sessions.played(row).tolist()
        assert set(others) <= set(lists[first].tolist())
    assert lift(sessions, sessions) == 0
    assert 0 <= skipped_at(sessions, 1) <= skipped_at(sessions, 3) <= 1
