"""The listening model against a slow reference in plain Python that reads like its definition."""

import math
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.randomness import make_generator
from sim.listening.draws import normals
from sim.listening.sessions import start_sessions
from sim.worlds.config import Nature
from sim.worlds.files import World
from sim.worlds.neighbours import nearest_tracks

TRACKS, ARTISTS, LISTENERS = 30, 7, 9
NATURES = (
    Nature(),
    Nature(tiredness=0.1, idiosyncrasy=0.7),
)


@dataclass
class ReferenceSession:
    """One session, a track at a time."""

    world: World
    listener: int
    interest: int
    budget: int
    tracks: list[int]
    times: list[float] = field(default_factory=lambda: [1.0])

    def hear(self, track: int, rng: np.random.Generator) -> None:
        world, listener, nature = self.world, self.listener, self.world.nature
        pairs = zip(
            world.embeddings[track].tolist(),
            world.embeddings[self.interest].tolist(),
            strict=True,
        )
        product = math.fsum(a * b for a, b in pairs)
        logit = (product - world.consume_bias[listener]) * world.consume_sharpness[
            listener
        ]
        z = normals(world.seed, np.array([listener]), np.array([track]))[0]
        logit += nature.idiosyncrasy * z
        share = 1 / (1 + math.exp(-logit))
        artist_plays = sum(
            world.artist[earlier] == world.artist[track] for earlier in self.tracks
        )
        share *= world.gamma[listener] ** int(artist_plays)
        share *= (1 - nature.tiredness) ** (len(self.tracks) - 1)
        time = 0.0 if track in self.tracks else round(float(share), 2)
        self.tracks.append(track)
        self.times.append(time)
        if rng.random() < 1 - time:
            self.budget -= 1


def _world(seed: int) -> World:
    rng = make_generator(seed, "test world")
    counts = rng.integers(1, 4, size=LISTENERS, endpoint=True)
    embeddings = rng.normal(0, 1.2, size=(TRACKS, 5)).astype(np.float32)
    interests = rng.integers(TRACKS, size=int(counts.sum()))
    return World(
        embeddings=embeddings,
        artist=rng.integers(ARTISTS, size=TRACKS),
        interests=interests,
        interest_offsets=np.concatenate([[0], np.cumsum(counts)]),
        nearest=nearest_tracks(embeddings, interests, 10),
        interest_neighbours=rng.integers(1, 10, size=LISTENERS, endpoint=True),
        consume_bias=rng.uniform(-2, 4, size=LISTENERS),
        consume_sharpness=rng.uniform(0.1, 2, size=LISTENERS),
        session_budget=rng.integers(1, 6, size=LISTENERS, endpoint=True),
        gamma=rng.uniform(0, 1, size=LISTENERS),
        nature=NATURES[seed % 2],
    )


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), sessions=st.integers(1, 12))
def test_sessions_side_by_side_go_as_the_reference_says(
    seed: int, sessions: int
) -> None:
    """Few tracks and artists, so that both come often; the same random numbers on both sides."""
    world, rng = _world(seed), make_generator(seed, "test sessions")
    listeners = rng.integers(LISTENERS, size=sessions)
    batch = start_sessions(world, listeners, rng)
    references = [
        ReferenceSession(world, listener, interest, budget, [organic])
        for listener, interest, budget, organic in zip(
            listeners.tolist(),
            batch.interest.tolist(),
            world.session_budget[listeners].tolist(),
            batch.tracks[0].tolist(),
            strict=True,
        )
    ]
    twin = make_generator(seed, "test sessions")
    while len(rows := batch.under_way()):
        tracks = rng.integers(TRACKS, size=len(rows))
        twin.bit_generator.state = rng.bit_generator.state
        batch.hear(rows, tracks, rng.random(len(rows)))
        for row, track in zip(rows.tolist(), tracks.tolist(), strict=True):
            references[row].hear(track, twin)
        assert batch.budget.tolist() == [session.budget for session in references]
    for row, session in enumerate(references):
        length = batch.length[row]
        assert batch.tracks[:length, row].tolist() == session.tracks
        heard = batch.hundredths[:length, row] / 100
        assert heard.tolist() == session.times
