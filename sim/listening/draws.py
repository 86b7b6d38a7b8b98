"""The random numbers of each session, which follow from (seed, session) alone.

Session i has an endless row of draws from [0, 1): the listener, the interest, the organic track,
then one for each recommended track. They are made in tables, for many sessions and many draws at
once; tables used last are cached.
"""

from functools import lru_cache

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.listening.response import scale_below
from sim.listening.sessions import ListeningModel, Starts, scale_starts

BLOCK = 1024  # sessions in a table
_CHUNK = 32  # draws of a session in a table
_LISTENER, _INTEREST, _ORGANIC, _FIRST_TRACK = range(4)  # which draws are for what
_TABLES_KEPT = 64


class SessionDraws:
    """The draws of all sessions of a seed, in a world."""

    def __init__(self, seed: int, model: ListeningModel) -> None:
        """Take the seed that all draws follow from."""
        self._seed, self._model = seed, model
        self._table = lru_cache(maxsize=_TABLES_KEPT)(self._make_table)

    def listeners(self, sessions: IntArray) -> IntArray:
        """Return the listener of each session."""
        limits = np.full(len(sessions), self._model.world.listeners)
        return scale_below(
            limits, self._at(sessions, np.full(len(sessions), _LISTENER))
        )

    def starts(self, sessions: IntArray) -> Starts:
        """Return how each session begins."""
        uniform = np.stack(
            [
                self._at(sessions, np.full(len(sessions), index))
                for index in (_INTEREST, _ORGANIC)
            ]
        )
        return scale_starts(self._model, self.listeners(sessions), uniform)

    def boredom(self, sessions: IntArray, lengths: IntArray) -> FloatArray:
        """Return each session's draw for the track that it hears after so many others, the organic one included."""
        return self._at(sessions, _FIRST_TRACK + lengths - 1)

    def _at(self, sessions: IntArray, index: IntArray) -> FloatArray:
        blocks, chunks = sessions // BLOCK, index // _CHUNK
        found = np.empty(len(sessions))
        for block, chunk in set(zip(blocks.tolist(), chunks.tolist(), strict=True)):
            here = (blocks == block) & (chunks == chunk)
            found[here] = self._table(block, chunk)[
                index[here] % _CHUNK, sessions[here] % BLOCK
            ]
        return found

    def _make_table(self, block: int, chunk: int) -> FloatArray:
        return make_generator(self._seed, "session", block, chunk).random(
            (_CHUNK, BLOCK)
        )
