"""The random numbers of each session, which follow from (seed, session) alone.

Session i has an endless row of draws from [0, 1): the listener, the interest, the organic track, then one for each
recommended track. They are made in tables, for many sessions and many draws at once; tables used last are cached.
"""

from functools import lru_cache

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.listening.response import scale_below

CHUNK = 32  # draws of a session in a table
BLOCK = 1024  # sessions in a table
LISTENER, START, FIRST_TRACK = 0, slice(1, 3), 3  # which draws are for what
_TABLES_KEPT = 64


class SessionDraws:
    """The draws of all sessions of a seed."""

    def __init__(self, seed: int) -> None:
        """Take the seed that all draws follow from."""
        self._seed = seed
        self._table = lru_cache(maxsize=_TABLES_KEPT)(self._make_table)

    def of(self, sessions: IntArray, chunk: int) -> FloatArray:
        """Return draws `CHUNK * chunk` to `CHUNK * (chunk + 1) - 1` of each session: (CHUNK, sessions)."""
        blocks = sessions // BLOCK
        found = np.empty((CHUNK, len(sessions)))
        for block in set(blocks.tolist()):
            here = np.flatnonzero(blocks == block)
            found[:, here] = self._table(block, chunk)[:, sessions[here] % BLOCK]
        return found

    def at(self, sessions: IntArray, index: int) -> FloatArray:
        """Return draw number `index` of each session: (sessions,)."""
        draws: FloatArray = self.of(sessions, index // CHUNK)[index % CHUNK]
        return draws

    def listeners(self, sessions: IntArray, listeners: int) -> IntArray:
        """Return the listener of each session, of so many listeners."""
        return scale_below(np.full(len(sessions), listeners), self.at(sessions, LISTENER))

    def _make_table(self, block: int, chunk: int) -> FloatArray:
        return make_generator(self._seed, "session", block, chunk).random((CHUNK, BLOCK))
