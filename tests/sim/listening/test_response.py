"""What a world's `response` section adds to the listening model, by other implementations."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from looplib.arrays import IntArray
from looplib.config import load_config
from looplib.randomness import make_generator
from sim.collect import CollectConfig, collect, play_out, recommend_random
from sim.listening import hashes
from sim.listening.draws import SessionDraws
from sim.listening.sessions import (
    ListeningModel,
    Sessions,
    draw_starts,
    idiosyncrasies,
    make_model,
    start_sessions,
)
from sim.world import make_world
from sim.worlds.config import ResponseConfig, WorldConfig
from sim.worlds.files import load_world
from tests.sim.small_world import write_world

PERSONAL = {
    "tiredness": 0.05,
    "idiosyncrasy": 1.0,
    "repeats": 0.3,
}
SMALL = [
    "catalogue.tracks=300",
    "catalogue.artists=60",
    "catalogue.genres=9",
    "listeners.listeners=200",
]
LOGS = {
    "demo": "c51f546239b8c783e7e22dc128c1ede74fece7a767167f138f6af34ef9e7a12e",
    "course": "c6592fa3408c627c0e2928209bd1468820a6f963bbca54ace11473feeec22678",
}


def _model(folder: Path, **response: object) -> ListeningModel:
    """Twelve tracks on a circle; listener 2 has three interests."""
    world = load_world(write_world(folder / "world"))
    return make_model(
        replace(world, response=ResponseConfig.model_validate(response), seed=3)
    )


def _play(model: ListeningModel, listeners: IntArray) -> Sessions:
    rng = make_generator(5, "test")
    sessions = start_sessions(model, listeners, rng)
    play_out(sessions, recommend_random, rng)
    return sessions


@pytest.mark.parametrize("name", LOGS)
def test_a_world_keeps_its_logs_to_the_byte(tmp_path: Path, name: str) -> None:
    file = Path(f"configs/world/{name}.yaml")
    make_world(load_config(WorldConfig, file, SMALL), tmp_path / "world")
    collect(
        CollectConfig(
            world=tmp_path / "world", log=tmp_path / "log", episodes=2000, seed=7
        )
    )
    (log,) = (tmp_path / "log").glob("*.jsonl")
    assert hashlib.sha256(log.read_bytes()).hexdigest() == LOGS[name]


def test_a_session_goes_the_same_way_alone_and_beside_others(tmp_path: Path) -> None:
    """As remote traffic plays them: draws of a session's own, and rows that come and go."""
    model = _model(tmp_path, **PERSONAL)
    draws = make_generator(8, "draws").random((7, 5))
    together = Sessions(model, 5)
    numbers, starts = np.arange(5), SessionDraws(8, model).starts
    together.start(numbers, starts(numbers))
    together.budget[:] = 99
    tracks = make_generator(8, "tracks").integers(12, size=(7, 5))
    for step, played in zip(draws, tracks, strict=True):
        together.hear(np.arange(5), played, step)
    for row in range(5):
        alone = Sessions(model, 1)
        alone.start(np.zeros(1, dtype=np.int64), starts(numbers[row : row + 1]))
        for step, played in zip(draws[:, row], tracks[:, row], strict=True):
            alone.hear(
                np.zeros(1, dtype=np.int64), np.array([played]), np.array([step])
            )
        assert (
            alone.hundredths[: alone.length[0], 0].tolist()
            == together.hundredths[: together.length[row], row].tolist()
        )
        assert alone.played(0).tolist() == together.played(row).tolist()


def test_what_follows_from_one_draw_is_uniform_and_independent_of_it() -> None:
    uniform = make_generator(2, "bits").random(50_000)
    bits = hashes.float_bits(uniform)
    columns = np.stack(
        [uniform, *(hashes.uniforms(bits, purpose) for purpose in range(4))]
    )
    assert min(stats.kstest(column, "uniform").pvalue for column in columns) > 1e-4
    assert np.abs(np.corrcoef(columns) - np.eye(5)).max() < 5 / math.sqrt(50_000)


def test_idiosyncrasy_is_normal_and_belongs_to_the_pair(tmp_path: Path) -> None:
    world = _model(tmp_path, idiosyncrasy=2.0).world
    listeners, tracks = np.arange(300)[:, None], np.arange(100)
    found = np.asarray(idiosyncrasies(world, listeners, tracks))
    assert stats.kstest(found.ravel() / 2, "norm").pvalue > 1e-4
    assert (
        found[7, 31]
        == np.asarray(idiosyncrasies(world, np.array([7]), np.array([31])))[0]
    )
    spreads = [
        found.mean(axis=axis).std() * math.sqrt(found.shape[axis]) for axis in (0, 1)
    ]
    assert spreads == pytest.approx([2, 2], rel=0.25), (
        "no listener and no track is shifted as a whole"
    )
    assert not np.array_equal(
        found, idiosyncrasies(replace(world, seed=4), listeners, tracks)
    )


def test_tiredness_takes_its_share_with_every_recommended_track(tmp_path: Path) -> None:
    times = [
        _play(_model(tmp_path / str(t), tiredness=t), np.full(4000, 2))
        for t in (0.0, 0.5)
    ]
    first, second = (sessions.hundredths[1].mean() for sessions in times)
    assert first == pytest.approx(second, rel=0.1)
    third = [sessions.hundredths[3, sessions.length > 3].mean() for sessions in times]
    assert third[1] < 0.35 * third[0]


def test_sessions_come_back_to_the_first_interest_by_its_own_track(
    tmp_path: Path,
) -> None:
    model, n = _model(tmp_path, repeats=0.6, organic_neighbours=4), 20_000
    for starts in (
        draw_starts(model, np.full(n, 2), make_generator(1, "starts")),
        SessionDraws(2, model).starts(np.arange(n)),
    ):
        first = int(model.world.interest_offsets[2])
        favourite = (starts.position == first) & (
            starts.organic == model.nearest[first, 0]
        )
        own = favourite[starts.listener == 2]
        assert own.mean() == pytest.approx(
            0.6 + 0.4 / 12, abs=5 * math.sqrt(0.24 / len(own))
        )


def test_sessions_open_with_the_largest_inner_products(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    embeddings = rng.normal(size=(12, 3)) * rng.uniform(0.5, 3, size=(12, 1))
    users = [{"user": 0, "interests": [0, 5, 8]}]
    world = load_world(
        write_world(tmp_path / "world", embeddings=embeddings, users=users)
    )
    response = ResponseConfig(organic_metric="inner_product")
    model = make_model(
        replace(world, response=response, interest_neighbours=np.array([4]))
    )
    products = embeddings[[0, 5, 8]] @ embeddings.T
    assert model.nearest.tolist() == np.argsort(-products, axis=1)[:, :4].tolist()
