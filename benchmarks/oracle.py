"""The oracle: it knows each session's interest, and what every track is worth to its listener on average."""

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.listening.response import raw_share
from sim.listening.sessions import Sessions, own_logits
from sim.worlds.files import World

_CONSIDERED = 500  # tracks that please most before artists wear out; no session hears as many


class Oracle:
    """Recommends the track with the largest mean share, given the interest and what was played."""

    def __init__(self, world: World) -> None:
        """Take the world whose listeners will listen."""
        self._world = world
        self._best: dict[int, tuple[int, IntArray, FloatArray]] = {}  # by session: interest, tracks, their shares

    def __call__(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Return a track for each of these sessions; how likely it was is not said."""
        del rng
        return np.array([self._choose(sessions, row) for row in rows.tolist()]), np.full(len(rows), np.nan)

    def _choose(self, sessions: Sessions, row: int) -> int:
        world, interest, listener = self._world, int(sessions.interest[row]), int(sessions.listener[row])
        if row not in self._best or self._best[row][0] != interest:
            self._best[row] = (interest, *self._rank(listener, interest))
        _, tracks, shares = self._best[row]
        played = sessions.played(row)
        plays = (world.artist[played][:, None] == world.artist[tracks]).sum(axis=0)
        worth = np.where(np.isin(tracks, played), -1.0, shares * world.gamma[listener] ** plays)
        return int(tracks[np.argmax(worth)])

    def _rank(self, listener: int, interest: int) -> tuple[IntArray, FloatArray]:
        world, who = self._world, np.array([listener])
        dots = (world.embeddings @ world.embeddings[interest]).astype(np.float64)
        own = own_logits(world, who, np.arange(world.tracks))
        shares = raw_share(dots, world.consume_bias[who], world.consume_sharpness[who], own)
        tracks = np.argsort(-shares, kind="stable")[:_CONSIDERED]
        return tracks, shares[tracks]
