"""Who comes back, and which tracks are hyped; and that nothing changes unless it is asked for."""

import math
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.randomness import make_generator
from sim.listening.drift import HypeConfig, ReturnsConfig, draw_present, hyped
from sim.listening.sessions import ListeningModel, Sessions
from sim.run import main
from tests.sim.fake_service import fake_service

TRACKS = 5000


def test_the_more_is_heard_the_more_come_back() -> None:
    n, config = 40_000, ReturnsConfig(bored=0.3, delighted=0.9)
    for satisfaction, probability in ((0.0, 0.3), (0.5, 0.6), (1.0, 0.9)):
        present = draw_present(config, np.full(n, satisfaction), seed=1, day=2)
        assert present.mean() == pytest.approx(probability, abs=5 * math.sqrt(0.25 / n))
    assert draw_present(config, np.full(n, np.nan), seed=1, day=2).all()


def test_who_comes_follows_from_the_seed_and_the_day() -> None:
    satisfaction, config = np.full(500, 0.5), ReturnsConfig()
    first = draw_present(config, satisfaction, 1, 2).tolist()
    assert first == draw_present(config, satisfaction, 1, 2).tolist()
    assert first != draw_present(config, satisfaction, 1, 3).tolist()
    assert first != draw_present(config, satisfaction, 2, 2).tolist()


def test_hyped_tracks_are_heard_for_longer_and_others_as_ever(demo_model: ListeningModel) -> None:
    model = hyped(HypeConfig(tracks=100, lift=3.0), demo_model, seed=1, day=4)
    assert model.lift is not None
    tracks = np.flatnonzero(model.lift)
    assert len(tracks) == 100
    heard = []
    for one, chosen in ((demo_model, tracks), (model, tracks), (demo_model, tracks + 1), (model, tracks + 1)):
        rng = make_generator(1, "test")
        sessions = Sessions(one, np.arange(100), rng)
        is_other = ~np.isin(chosen, sessions.tracks[0]) & ((model.lift[chosen] > 0) == (chosen is tracks))
        heard.append(sessions.hear(np.arange(100), chosen, rng.random(100))[is_other])
    assert (heard[1] >= heard[0]).all()
    assert heard[1].mean() > 2 * heard[0].mean()
    assert heard[2].tolist() == heard[3].tolist()
    later = hyped(HypeConfig(tracks=100, lift=3.0), demo_model, seed=1, day=5).lift
    assert later is not None
    assert later.tolist() != model.lift.tolist()


def test_bored_listeners_stay_away_from_the_second_day_on(demo_world: Path, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    words = ["--recommender", "remote", "--world", str(demo_world), "--episodes", "200", "--days", "2", "--yes"]
    words += ["--summary", str(file), "--set", "returns.bored=0.1", "--set", "returns.delighted=0.4"]
    with fake_service(TRACKS, arms={"AA": ["C", "T1"]}) as service:
        assert main([*words, "--url", service.url]) == 0
    first, second = orjson.loads(file.read_bytes())["days"]
    assert (first["sessions"], first["absent"], first["present"]) == (200, 0, 1.0)
    assert second["absent"] > 0
    assert second["sessions"] + second["absent"] == 200
    assert 0.8 < second["present"] < 1.0  # most of the thousand had no session on the first day
    assert len(service.sessions) == 200 + second["sessions"]
    assert all(0.8 < arm["present"] < 1.0 for arm in second["arms"])


def test_all_come_and_no_track_is_hyped_by_default(demo_world: Path) -> None:
    words = ["--recommender", "remote", "--world", str(demo_world), "--episodes", "40", "--days", "2", "--yes"]
    with fake_service(TRACKS) as plain, fake_service(TRACKS) as changed:
        assert main([*words, "--url", plain.url]) == 0
        assert main([*words, "--url", changed.url, "--set", "hype.tracks=5000", "--set", "hype.lift=1.5"]) == 0
    assert len(plain.sessions) == 80
    times = [sum(time for _, events in service.sessions for _, time in events) for service in (plain, changed)]
    assert times[1] > times[0]
