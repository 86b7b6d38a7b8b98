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
    is_foreign,
    make_model,
    own_logits,
    start_sessions,
    taste_products,
)
from sim.world import make_world
from sim.worlds.config import ResponseConfig, WorldConfig
from sim.worlds.files import load_world
from tests.sim.small_world import write_world

NOISY = {
    "noise": 1.0,
    "tiredness": 0.05,
    "interest_change": 0.2,
    "idiosyncrasy": 1.0,
    "repeats": 0.3,
}
SMALL = [
    "catalogue.tracks=300",
    "catalogue.artists=60",
    "catalogue.genres=9",
    "listeners.listeners=200",
]
# Of a log collected without a response section.
LOG_SHA256 = "5de012ae6a2431f7ac169f3b21f0910e0af41f1e7aad2875a47330c9cebbd096"


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


def test_a_world_without_response_keeps_its_logs_to_the_byte(tmp_path: Path) -> None:
    make_world(
        load_config(WorldConfig, Path("configs/world/easy.yaml"), SMALL),
        tmp_path / "world",
    )
    collect(
        CollectConfig(
            world=tmp_path / "world", log=tmp_path / "log", episodes=2000, seed=7
        )
    )
    (log,) = (tmp_path / "log").glob("*.jsonl")
    assert hashlib.sha256(log.read_bytes()).hexdigest() == LOG_SHA256


def test_a_session_goes_the_same_way_alone_and_beside_others(tmp_path: Path) -> None:
    """As remote traffic plays them: draws of a session's own, and rows that come and go."""
    model = _model(tmp_path, **NOISY)
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


@pytest.mark.parametrize(
    ("mean", "concentration"), [(0.02, 1.0), (0.3, 0.1), (0.3, 300.0), (0.9, 10.0)]
)
def test_noise_is_a_beta_of_that_mean(mean: float, concentration: float) -> None:
    bits = hashes.float_bits(make_generator(1, "bits").random(20_000))
    drawn = hashes.betas(np.full(20_000, mean), concentration, bits)
    expected = stats.beta(concentration * mean, concentration * (1 - mean))
    # Draws nearer to 1 than double precision are 1.
    inside = drawn[(drawn > 1e-12) & (drawn < 1 - 1e-12)]
    low, high = expected.cdf([1e-12, 1 - 1e-12])
    assert (
        stats.kstest(inside, lambda x: (expected.cdf(x) - low) / (high - low)).pvalue
        > 1e-4
    )
    assert drawn.mean() == pytest.approx(mean, abs=5 * drawn.std() / math.sqrt(20_000))


def test_noise_at_its_limits() -> None:
    bits = hashes.float_bits(make_generator(1, "bits").random(40_000))
    assert hashes.betas(np.array([0.0, 1.0]), 1.0, bits[:2]).tolist() == [0, 1]
    whole = hashes.betas(np.full(40_000, 0.3), 0.0, bits)
    assert set(whole.tolist()) == {0.0, 1.0}
    assert whole.mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 40_000))


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
    found = np.asarray(own_logits(world, listeners, tracks))
    assert stats.kstest(found.ravel() / 2, "norm").pvalue > 1e-4
    assert (
        found[7, 31] == np.asarray(own_logits(world, np.array([7]), np.array([31])))[0]
    )
    spreads = [
        found.mean(axis=axis).std() * math.sqrt(found.shape[axis]) for axis in (0, 1)
    ]
    assert spreads == pytest.approx([2, 2], rel=0.25), (
        "no listener and no track is shifted as a whole"
    )
    assert not np.array_equal(
        found, own_logits(replace(world, seed=4), listeners, tracks)
    )


def test_popular_tracks_please_more_and_those_in_another_language_less(
    tmp_path: Path,
) -> None:
    model = _model(tmp_path, popularity=0.5, languages=3, foreign=2.0)
    world = replace(model.world, popularity=np.linspace(-1, 1, 12))
    who, what = np.arange(world.listeners)[:, None], np.arange(12)[None]
    foreign = is_foreign(world, who, what)
    assert np.asarray(own_logits(world, who, what)) == pytest.approx(
        0.5 * world.popularity - 2.0 * foreign
    )
    same_artist = world.artist[:, None] == world.artist
    assert (foreign[:, :, None] == foreign[:, None])[:, same_artist].all()
    many = is_foreign(world, np.arange(30_000), np.zeros(30_000, dtype=np.int64))
    assert many.mean() == pytest.approx(2 / 3, abs=0.02)


def test_listeners_choose_what_is_in_their_language(tmp_path: Path) -> None:
    model = _model(tmp_path, languages=2)
    foreign = is_foreign(
        model.world,
        np.repeat(np.arange(model.world.listeners), model.interests)[:, None],
        model.nearest,
    )
    assert (np.diff(foreign.astype(int), axis=1) >= 0).all()  # own ones first
    assert not foreign[:, 0].any()


def test_what_is_popular_is_all_that_counts(tmp_path: Path) -> None:
    model = _model(tmp_path, taste="popularity")
    world = replace(model.world, popularity=np.arange(12.0))
    tracks, interests = np.array([3, 7]), np.array([0, 1])
    assert taste_products(world, tracks, interests).tolist() == [3, 7]


def test_interests_change_to_another_own_one_with_that_probability(
    tmp_path: Path,
) -> None:
    model, n = _model(tmp_path, interest_change=0.3), 20_000
    sessions = start_sessions(model, np.full(n, 2), make_generator(1, "test"))
    before = sessions.interest.copy()
    sessions.hear(
        np.arange(n), np.zeros(n, dtype=np.int64), make_generator(2, "test").random(n)
    )
    changed = sessions.interest != before
    assert changed.mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / n))
    assert set(sessions.interest.tolist()) == {3, 4, 11}
    from_three = np.bincount(sessions.interest[changed & (before == 3)], minlength=12)
    assert from_three[4] == pytest.approx(from_three[11], rel=0.15)
    only = start_sessions(model, np.ones(50, dtype=np.int64), make_generator(1, "test"))
    only.hear(
        np.arange(50),
        np.zeros(50, dtype=np.int64),
        make_generator(2, "test").random(50),
    )
    assert set(only.interest.tolist()) == {7}, "who has one interest keeps it"


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
