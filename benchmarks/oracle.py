"""The oracle: what there is to be gained in a simulated world.

It knows each session's interest and everything else but the luck of the draw.
"""

from pathlib import Path

import numpy as np
import orjson

from benchmarks.realism import listen, session_times
from looplib.arrays import FloatArray, IntArray
from looplib.files import atomic_write_json
from looplib.randomness import make_generator
from sim.collect import recommend_random
from sim.listening.response import raw_share
from sim.listening.sessions import (
    Sessions,
    make_model,
    own_logits,
    taste_products,
)
from sim.worlds.files import World, load_world

SESSIONS, RANDOM_SESSIONS = 500, 20_000  # of the oracle, and under random tracks
# tracks that please most before artists wear out; no session hears as many
CONSIDERED = 500
Interval = tuple[float, float, float]  # value, lower and upper end


def oracle_lift(world: Path) -> Interval:
    """Return the oracle's lift over random in %; a file beside the world's folder keeps it."""
    file = world.parent / f"oracle-{SESSIONS}.json"
    if not file.exists():
        model = make_model(load_world(world))
        rng = make_generator(0, "oracle")
        some, many = (
            rng.integers(model.world.listeners, size=size)
            for size in (SESSIONS, RANDOM_SESSIONS)
        )
        time = session_times(listen(model, Oracle(model.world), some, seed=1))
        base = session_times(listen(model, recommend_random, many, seed=2)).mean()
        error = 1.96 * time.std() / np.sqrt(SESSIONS)
        ends = (time.mean() + z * error for z in (0, -1, 1))
        atomic_write_json(file, [float(100 * (end / base - 1)) for end in ends])
    value, low, high = orjson.loads(file.read_bytes())
    return value, low, high


class Oracle:
    """Recommends the track with the largest mean share, as if it knew the interest."""

    def __init__(self, world: World) -> None:
        """Take the world whose listeners will listen."""
        self._world = world
        # by session: interest, tracks, their shares
        self._best: dict[int, tuple[int, IntArray, FloatArray]] = {}

    def __call__(
        self, sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """Return a track for each of these sessions."""
        del rng
        return np.array([self._choose(sessions, row) for row in rows.tolist()])

    def _choose(self, sessions: Sessions, row: int) -> int:
        world = self._world
        interest = int(sessions.interest[row])
        listener = int(sessions.listener[row])
        if row not in self._best or self._best[row][0] != interest:
            self._best[row] = (interest, *self._rank(listener, interest))
        _, tracks, shares = self._best[row]
        played = sessions.played(row)
        plays = (world.artist[played][:, None] == world.artist[tracks]).sum(axis=0)
        worth = np.where(
            np.isin(tracks, played), -1.0, shares * world.gamma[listener] ** plays
        )
        return int(tracks[np.argmax(worth)])

    def _rank(self, listener: int, interest: int) -> tuple[IntArray, FloatArray]:
        world, who = self._world, np.array([listener])
        tracks = np.arange(world.tracks)
        dots = taste_products(world, tracks, np.array([interest]))
        own = own_logits(world, who, tracks)
        shares = raw_share(
            dots, world.consume_bias[who], world.consume_sharpness[who], own
        )
        tracks = np.argsort(-shares, kind="stable")[:CONSIDERED]
        return tracks, shares[tracks]
