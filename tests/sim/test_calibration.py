"""The worlds of `configs/world/` are as their `calibration` sections say."""

from pathlib import Path

import numpy as np
import pytest

from looplib.config import load_config
from looplib.randomness import make_generator
from sim.calibration import calibrate, compare, same_artist_recommender
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.recommenders import play_out, recommend_random
from sim.world import make_world
from sim.worlds.config import CalibrationConfig, WorldConfig
from sim.worlds.files import load_world

SEED = Path("configs/world/seed.yaml")


def _outside(model: ListeningModel, ranges: CalibrationConfig | None, sessions: int) -> list[str]:
    assert ranges is not None
    readings = compare(calibrate(model, sessions, seed=5), ranges)
    assert len(readings) == 4
    return [reading for reading in readings if ", within " not in reading]


def test_the_demo_world_is_calibrated(demo_model: ListeningModel, demo_config: WorldConfig) -> None:
    assert _outside(demo_model, demo_config.calibration, sessions=40_000) == []


@pytest.mark.slow
def test_the_seed_world_is_calibrated(tmp_path: Path) -> None:
    config = load_config(WorldConfig, SEED)
    make_world(config, tmp_path / "world")
    assert _outside(make_model(load_world(tmp_path / "world")), config.calibration, sessions=40_000) == []


def test_both_configurations_aim_at_the_same_figures(demo_config: WorldConfig) -> None:
    assert load_config(WorldConfig, SEED).calibration == demo_config.calibration


def test_the_figures_aimed_at_are_those_of_the_original_course(demo_config: WorldConfig) -> None:
    ranges = demo_config.calibration
    assert ranges is not None
    assert (ranges.random_tracks.low, ranges.random_tracks.high) == (7.0, 7.3)
    assert (ranges.random_listening.low, ranges.random_listening.high) == (2.05, 2.2)
    assert (ranges.same_artist_ratio.low, ranges.same_artist_ratio.high) == (1.35, 1.7)
    assert ranges.near_share.low == 0.6


def test_listeners_differ_widely(demo_model: ListeningModel) -> None:
    world = demo_model.world
    assert np.quantile(world.consume_bias, 0.9) > 2.5 * np.quantile(world.consume_bias, 0.1)
    assert np.quantile(world.consume_sharpness, 0.9) > 2.5 * np.quantile(world.consume_sharpness, 0.1)


def test_a_session_costs_its_budget_in_unheard_tracks(demo_model: ListeningModel) -> None:
    """Tracks - listening time is the budget on average: each unheard share costs as much in expectation."""
    rng = make_generator(3, "test")
    sessions = Sessions(demo_model, rng.integers(demo_model.world.listeners, size=40_000), rng)
    play_out(sessions, recommend_random, rng)
    unheard = sessions.length - sessions.hundredths.sum(axis=0, dtype=np.int64) / 100
    assert unheard.mean() == pytest.approx(5.0, abs=5 * unheard.std() / np.sqrt(len(unheard)))


def test_the_same_artist_recommender_stays_with_the_artist_and_repeats_only_when_all_are_played(
    demo_model: ListeningModel,
) -> None:
    world, rng = demo_model.world, make_generator(4, "test")
    sessions = Sessions(demo_model, np.arange(50), rng)
    play_out(sessions, same_artist_recommender(world.artist), rng)
    for row in range(50):
        played = sessions.played(row)
        assert len(set(world.artist[played].tolist())) == 1
        owned = int((world.artist == world.artist[played[0]]).sum())
        assert len(set(played.tolist())) == min(len(played), owned)
