"""The random numbers of each session, which follow from (seed, session) alone.

Session i has an endless row of draws from [0, 1): the listener, the interest, the organic track,
then one for each recommended track.
"""

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.listening import hashes
from sim.listening.response import scale_below
from sim.listening.sessions import ListeningModel, Starts, make_starts

_LISTENER, _INTEREST, _ORGANIC, _FIRST_TRACK = range(4)  # which draws are for what


class SessionDraws:
    """The draws of all sessions of a seed, in a world."""

    def __init__(self, seed: int, model: ListeningModel) -> None:
        """Take the seed that all draws follow from."""
        self._seed = seed
        self._model = model

    def listeners(self, sessions: IntArray) -> IntArray:
        """Return the listener of each session."""
        limits = np.full(len(sessions), self._model.world.listeners)
        return scale_below(limits, self._draw(sessions, _LISTENER))

    def starts(self, sessions: IntArray) -> Starts:
        """Return how each session begins."""
        model, listeners = self._model, self.listeners(sessions)
        chosen = self._draw(sessions, _INTEREST)
        interest = scale_below(model.interests[listeners], chosen)
        near = scale_below(model.neighbours[listeners], self._draw(sessions, _ORGANIC))
        returns = hashes.uniforms(hashes.float_bits(chosen), hashes.RETURN)
        is_repeat = returns < model.world.response.repeats
        return make_starts(model, listeners, interest, near, is_repeat)

    def boredom(self, sessions: IntArray, lengths: IntArray) -> FloatArray:
        """Return each session's draw for its next track, after `lengths` tracks were played."""
        return self._draw(sessions, _FIRST_TRACK + lengths - 1)

    def _draw(self, sessions: IntArray, index: IntArray | int) -> FloatArray:
        """Return the draw of each session at an index of its row."""
        bits = hashes.pair_bits(self._seed, sessions, np.asarray(index))
        return hashes.uniforms(bits, hashes.SESSION)
