"""Figures of simulated sessions, the realism card, and that the worlds of `configs/world/` are what it says."""

import math
from pathlib import Path

import numpy as np
import pytest

from looplib.config import load_config
from looplib.randomness import make_generator
from sim.card import FACTS, Fact, card_table
from sim.figures import (
    Heard,
    between_listeners,
    describe,
    listen,
    measure,
    popular_tracks,
    repeated_openings,
)
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.recommenders import (
    make_neighbours,
    play_out,
    recommend_random,
    recommend_same_artist,
)
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world

WORLDS = Path("configs/world")
MET = {"course": 37, "demo": 27}  # of FACTS, at least


@pytest.mark.slow
@pytest.mark.parametrize("name", MET)
def test_a_world_is_as_its_card_says(tmp_path: Path, name: str) -> None:
    make_world(load_config(WorldConfig, WORLDS / f"{name}.yaml"), tmp_path / "world")
    found = measure(make_model(load_world(tmp_path / "world")), 8000, seed=5)
    met = {fact.figure for fact in FACTS if fact.is_met(found[fact.figure])}
    assert len(met) >= MET[name]
    assert {
        "random tracks",
        "random time",
        "sticky lift",
        "popular lift",
        "neighbours lift",
    } <= met
    if name == "demo":
        skipped = [
            found[f"neighbours skipped at {position}"] for position in (1, 2, 3, 5)
        ]
        assert skipped == sorted(skipped), "more is skipped as a session goes on"
        middle = 1 - found["sticky share < 0.1"] - found["sticky share > 0.9"]
        assert middle < 0.4, "shares are nearly nothing or nearly all"


def test_a_session_costs_its_budget_in_unheard_tracks(
    demo_model: ListeningModel,
) -> None:
    """Tracks - listening time is the budget on average: each unheard share costs as much in expectation."""
    rng = make_generator(3, "test")
    sessions = Sessions(
        demo_model, rng.integers(demo_model.world.listeners, size=40_000), rng
    )
    play_out(sessions, recommend_random, rng)
    unheard = sessions.length - sessions.hundredths.sum(axis=0, dtype=np.int64) / 100
    assert unheard.mean() == pytest.approx(
        5.0, abs=5 * unheard.std() / np.sqrt(len(unheard))
    )


def test_the_same_artist_recommender_stays_with_the_artist(
    demo_model: ListeningModel,
) -> None:
    world, rng = demo_model.world, make_generator(4, "test")
    sessions = Sessions(demo_model, np.arange(50), rng)
    play_out(sessions, recommend_same_artist, rng)
    played = [sessions.played(row) for row in range(50)]
    assert all(len(set(world.artist[tracks].tolist())) == 1 for tracks in played)
    assert any(len(set(tracks[1:].tolist())) > 1 for tracks in played)


def test_neighbours_are_the_tracks_nearest_to_the_opening_one(
    demo_model: ListeningModel,
) -> None:
    embeddings = demo_model.world.embeddings
    heard = listen(demo_model, make_neighbours(embeddings, 5), np.arange(20), seed=1)
    for played in np.split(heard.tracks, np.cumsum(heard.length)[:-1]):
        distances = np.linalg.norm(embeddings - embeddings[played[0]], axis=1)
        assert set(played[1:].tolist()) <= set(np.argsort(distances)[1:6].tolist())


def test_figures_are_those_of_a_small_example() -> None:
    shares = np.array([*(100, 0, 60), *(100, 5), *(100, 0, 95, 0, 0, 8), *(100, 70)])
    tracks = np.array([*(1, 2, 3), *(1, 4), *(5, 2, 6, 7, 8, 9), *(5, 6)])
    found = describe(
        heard := Heard(np.array([0, 0, 1, 1]), np.array([3, 2, 6, 2]), tracks, shares)
    )
    assert found["tracks"] == 13 / 4
    assert found["time"] == pytest.approx((1.6 + 1.05 + 2.03 + 1.7) / 4)
    assert found["share 0"] == pytest.approx(4 / 9)
    assert found["share < 0.1"] == pytest.approx(6 / 9)
    assert found["share > 0.5"] == pytest.approx(3 / 9)
    assert found["share at 1"] == pytest.approx(0.75 / 4)
    assert found["skipped at 2"] == 0  # .6 and .95
    assert math.isnan(found["share at 10"])
    assert (found["length 6"], found["longest"]) == (1 / 4, 6)
    assert popular_tracks(heard, 10, 2).tolist() == [6, 3]


def test_variance_between_listeners_is_found() -> None:
    rng = np.random.default_rng(1)
    listener = rng.integers(3000, size=20_000)
    time = rng.normal(0, 1.5, size=3000)[listener] + rng.normal(0, 1, size=20_000)
    spread, correlation = between_listeners(listener, time)
    assert spread == pytest.approx(1.5, rel=0.05)
    assert correlation == pytest.approx(1.5**2 / (1.5**2 + 1), rel=0.05)


def test_openings_repeat_as_often_as_chance_has_it(demo_model: ListeningModel) -> None:
    """A listener of k interests has 10 k openings, fewer where they share some; 30 draws miss (1 - 1/n)^30 of them."""
    openings = 10 * demo_model.interests[:1000]
    expected = 1 - np.mean(openings * (1 - (1 - 1 / openings) ** 30)) / 30
    assert repeated_openings(demo_model, make_generator(1, "test")) == pytest.approx(
        expected, abs=0.02
    )


def test_a_fact_is_met_within_a_tenth_or_three_hundredths() -> None:
    assert [
        Fact("", "", "", 2, 2).is_met(value) for value in (1.79, 1.81, 2.19, 2.21)
    ] == [False, True, True, False]
    assert [
        Fact("", "", "", 0.1, 0.1).is_met(value) for value in (0.06, 0.075, 0.14)
    ] == [False, True, False]
    assert [Fact("", "", "", 41, 67).is_met(value) for value in (40, 41, 67, 68)] == [
        False,
        True,
        True,
        False,
    ]
    assert not Fact("", "", "", 1, 1).is_met(math.nan)


def test_the_card_says_how_many_facts_of_each_source_are_met() -> None:
    figures = {fact.figure: fact.low for fact in FACTS}
    table = card_table({"true": figures, "wrong": dict.fromkeys(figures, -100.0)})
    assert len(FACTS) >= 12
    columns = [list(column.cells) for column in table.columns]
    assert len(columns[0]) == len(FACTS) + len({fact.source for fact in FACTS})
    assert not any("misses" in str(cell) for cell in columns[2])
    assert sum("misses" in str(cell) for cell in columns[3]) == len(FACTS)
