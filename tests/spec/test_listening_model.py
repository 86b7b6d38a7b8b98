"""The listening model against a slow reference in plain Python that reads like its definition."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.arrays import Float32Array
from looplib.randomness import make_generator
from sim.listening.response import (
    dot_rows,
    scale_below,
)
from sim.listening.sessions import (
    ListeningModel,
    idiosyncrasies,
    make_model,
    start_sessions,
)
from sim.worlds.config import ResponseConfig
from sim.worlds.files import World, load_world
from sim.worlds.neighbours import nearest_tracks
from tests.sim.small_world import write_world

TRACKS, ARTISTS, LISTENERS = 30, 7, 9
TIRED = {"tiredness": 0.1, "idiosyncrasy": 0.7}


@dataclass
class ReferenceSession:
    """One session, a track at a time."""

    world: World
    listener: int
    interest: int
    budget: int
    tracks: list[int]
    times: list[float] = field(default_factory=lambda: [1.0])

    def hear(self, track: int, rng: np.random.Generator) -> float:
        world = self.world
        plays = sum(
            world.artist[earlier] == world.artist[track] for earlier in self.tracks
        )
        response = world.response
        pairs = zip(
            world.embeddings[track].tolist(),
            world.embeddings[self.interest].tolist(),
            strict=True,
        )
        product = math.fsum(a * b for a, b in pairs)
        logit = (product - world.consume_bias[self.listener]) * float(
            world.consume_sharpness[self.listener]
        )
        if response.idiosyncrasy:
            who, what = np.array([self.listener]), np.array([track])
            logit += float(np.asarray(idiosyncrasies(world, who, what))[0])
        share = (
            1 / (1 + math.exp(-logit)) * float(world.gamma[self.listener]) ** int(plays)
        )
        share *= (1 - response.tiredness) ** (len(self.tracks) - 1)
        time = 0.0 if track in self.tracks else round(share, 2)
        self.tracks.append(track)
        self.times.append(time)
        if rng.random() < 1 - time:
            self.budget -= 1
        return time


def _world(seed: int, **response: object) -> World:
    rng = make_generator(seed, "test world")
    counts = rng.integers(1, 4, size=LISTENERS, endpoint=True)
    return World(
        embeddings=rng.normal(0, 1.2, size=(TRACKS, 5)).astype(np.float32),
        artist=rng.integers(ARTISTS, size=TRACKS),
        interests=rng.integers(TRACKS, size=int(counts.sum())),
        interest_offsets=np.concatenate([[0], np.cumsum(counts)]),
        interest_neighbours=rng.integers(1, 10, size=LISTENERS, endpoint=True),
        consume_bias=rng.uniform(-2, 4, size=LISTENERS),
        consume_sharpness=rng.uniform(0.1, 2, size=LISTENERS),
        session_budget=rng.integers(1, 25, size=LISTENERS, endpoint=True),
        gamma=rng.integers(3, size=LISTENERS) / 2,
        catalogue_sha256="",
        sha256="",
        response=ResponseConfig.model_validate(response),
    )


def _interests(world: World, listener: int) -> list[int]:
    start, end = world.interest_offsets[listener : listener + 2].tolist()
    return [int(track) for track in world.interests[start:end]]


def _nearest(embeddings: Float32Array, point: int, count: int) -> list[int]:
    """The nearest tracks, itself first, by full sorting of exact distances."""
    rows = embeddings.astype(np.float64)
    distances = [
        (math.dist(row, rows[point]), track != point, track)
        for track, row in enumerate(rows)
    ]
    return [track for _, _, track in sorted(distances)[:count]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), sessions=st.integers(1, 12))
def test_sessions_side_by_side_go_as_the_reference_says(
    seed: int, sessions: int
) -> None:
    """Few tracks and artists, so that both come often; the same random numbers on both sides."""
    world = _world(seed, **({}, TIRED)[seed % 2])
    rng = make_generator(seed, "test sessions")
    batch = start_sessions(
        make_model(world), rng.integers(LISTENERS, size=sessions), rng
    )
    reference = [
        ReferenceSession(
            world,
            int(u),
            int(interest),
            int(world.session_budget[u]),
            batch.played(row).tolist(),
        )
        for row, (u, interest) in enumerate(
            zip(batch.listener, batch.interest, strict=True)
        )
    ]
    twin = make_generator(seed, "test sessions")
    while len(rows := batch.under_way()):
        tracks = rng.integers(TRACKS, size=len(rows))
        twin.bit_generator.state = rng.bit_generator.state
        heard = batch.hear(rows, tracks, rng.random(len(rows)))
        expected = [
            reference[row].hear(int(track), twin)
            for row, track in zip(rows, tracks, strict=True)
        ]
        assert (heard / 100).tolist() == expected
        assert batch.budget.tolist() == [session.budget for session in reference]
    assert all(session.budget == 0 for session in reference)
    assert [batch.played(row).tolist() for row in range(sessions)] == [
        session.tracks for session in reference
    ]
    assert batch.length.tolist() == [len(session.tracks) for session in reference]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_session_starts_near_one_of_the_listeners_interests_heard_whole(
    seed: int,
) -> None:
    world, rng = _world(seed), make_generator(seed, "test start")
    batch = start_sessions(make_model(world), np.repeat(np.arange(LISTENERS), 40), rng)
    for row, listener in enumerate(batch.listener.tolist()):
        interest = int(batch.interest[row])
        assert interest in _interests(world, listener)
        assert int(batch.last_tracks(np.array([row]))[0]) in _nearest(
            world.embeddings, interest, int(world.interest_neighbours[listener])
        )
    assert set(batch.hundredths[0].tolist()) == {100}
    assert set(batch.length.tolist()) == {1}


def _single_listener(
    tmp_path: Path, interests: Sequence[int], **traits: float
) -> ListeningModel:
    return make_model(
        load_world(
            write_world(
                tmp_path / "world",
                users=[{"user": 0, "interests": interests, **traits}],
            )
        )
    )


def test_every_interest_and_every_neighbour_is_equally_likely(tmp_path: Path) -> None:
    """Neighbours of a track on the circle of twelve: itself and the nearest, ten in all."""
    model, n = _single_listener(tmp_path, [2, 8]), 40_000
    batch = start_sessions(
        model, np.zeros(n, dtype=np.int64), make_generator(1, "test")
    )
    assert np.mean(batch.interest == 2) == pytest.approx(
        1 / 2, abs=5 * math.sqrt(1 / 4 / n)
    )
    of_two = batch.tracks[0, batch.interest == 2]
    shares = np.bincount(of_two, minlength=12) / len(of_two)
    neighbours = sorted(model.nearest[0].tolist())
    assert len(neighbours) == 10
    assert 2 in neighbours
    assert shares[neighbours] == pytest.approx(
        np.full(10, 1 / 10), abs=5 * math.sqrt(0.09 / len(of_two))
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), tracks=st.integers(1, 3000), count=st.integers(1, 12)
)
def test_nearest_tracks_are_those_of_a_full_sort(
    seed: int, tracks: int, count: int
) -> None:
    """Up to many stripes of the catalogue; whole coordinates make distances exact, ties common."""
    rng, count = make_generator(seed, "test nearest"), min(count, tracks)
    embeddings = rng.integers(-20, 20, size=(tracks, 4)).astype(np.float32)
    points = rng.integers(tracks, size=5)
    nearest = nearest_tracks(embeddings, points, count)
    for point, neighbours in zip(points.tolist(), nearest.tolist(), strict=True):
        expected = _nearest(embeddings, point, count)
        assert neighbours[0] == point
        assert len(set(neighbours)) == count
        assert [math.dist(embeddings[a], embeddings[point]) for a in neighbours] == [
            math.dist(embeddings[a], embeddings[point]) for a in expected
        ]


def test_draws_from_0_to_1_become_whole_numbers_below_a_limit_alike() -> None:
    n = 60_000
    numbers = scale_below(np.full(n, 6), make_generator(1, "test").random(n))
    assert np.bincount(numbers, minlength=6) / n == pytest.approx(
        np.full(6, 1 / 6), abs=5 * math.sqrt(5 / 36 / n)
    )
    edges = scale_below(
        np.array([1, 3, 3, 10]), np.array([0.999, 0.0, 1 / 3, np.nextafter(1, 0)])
    )
    assert edges.tolist() == [0, 0, 1, 9]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), dimensions=st.integers(1, 70))
def test_a_product_is_the_same_whatever_is_beside_it(
    seed: int, dimensions: int
) -> None:
    rng = make_generator(seed, "test dots")
    embeddings, tracks = (
        rng.normal(size=(20, dimensions)).astype(np.float32),
        rng.integers(20, size=50),
    )
    vectors = rng.normal(size=(50, dimensions))
    together = dot_rows(embeddings, tracks, vectors)
    assert together.tolist() == [
        float(dot_rows(embeddings, tracks[i : i + 1], vectors[i : i + 1])[0])
        for i in range(50)
    ]
    assert together == pytest.approx(
        (embeddings[tracks].astype(np.float64) * vectors).sum(axis=1), abs=1e-9
    )
