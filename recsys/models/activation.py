"""Base-level activation: tracks played often and lately are played again."""

from typing import Any, ClassVar

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from looplib.arrays import AnyFloatArray
from looplib.config import Config, Positive
from recsys.dataset.dataset import Summary
from recsys.dataset.interactions import Plays
from recsys.models.baselines import Repetition

_PLAY = 60  # bytes of a play that is summed


class ActivationConfig(Config):
    """The hyperparameters of `Activation`."""

    decay: Positive = 0.5
    """how fast a play fades: it counts (plays ago)^-decay"""


class Activation(Repetition):
    """The sum of (plays ago)^-decay over the plays of a track.

    Anderson and Schooler, "Reflections of the Environment in Memory", Psychological Science 1991;
    in ACT-R the activation is its logarithm. Reiter-Haas, Parada-Cabaleiro, Schedl, Motamedi,
    Tkalcic and Lex, "Predicting Music Relistening Behavior Using the ACT-R Framework", RecSys 2021,
    rank tracks by it.

    >>> from recsys.dataset.interactions import Interactions
    >>> heard = csr_matrix(np.float32([[2, 1, 0, 0], [0, 0, 3, 0], [0, 1, 0, 1]]))
    >>> plays = Plays(np.array([0, 3, 6, 8]), np.int32([0, 0, 1, 2, 2, 2, 3, 1]))
    >>> model = Activation(decay=0.5).fit(Interactions(heard, plays=plays), seed=1, threads=1)
    >>> model.recommend(2, "repeat")
    array([[ 0,  1],
           [ 2, -1],
           [ 1,  3]], dtype=int32)
    """

    name = "activation"
    main_params: ClassVar = ("decay",)
    needs_order = True
    config: ActivationConfig

    @classmethod
    def estimate_bytes(cls, config: Any, summary: Summary) -> int:  # noqa: ANN401  of its class
        """Estimate the memory: the activation of each play, with its place."""
        return super().estimate_bytes(config, summary) + _PLAY * summary.events

    def scores(self) -> csr_matrix:
        """Compute the activation, before its logarithm."""
        plays = self.train.ordered_plays
        tracks = self.train.matrix.shape[1]
        return sum_plays(plays, activation(plays, self.config.decay), tracks)


def activation(plays: Plays, decay: float) -> AnyFloatArray:
    """Compute the activation that each play adds to its track, shape (plays,)."""
    added: AnyFloatArray = plays.age.astype(np.float64) ** -decay
    return added


def sum_plays(plays: Plays, values: AnyFloatArray, tracks: int) -> csr_matrix:
    """Add up a value of each play by listener and track, shape (listeners, tracks)."""
    shape = (len(plays.indptr) - 1, tracks)
    positions = (plays.listeners, plays.tracks)
    return csr_matrix(coo_matrix((values, positions), shape=shape), dtype=np.float32)
