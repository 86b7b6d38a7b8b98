"""Models of repetition: what a listener has played is played again."""

from abc import abstractmethod
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from looplib.arrays import AnyFloatArray, Int32Array, offsets
from recsys.dataset.plays import Plays
from recsys.models.model import Model
from recsys.models.params import ActivationParams
from recsys.models.sparse import rank_rows
from recsys.models.topk import Pool


class Repetition(Model):
    """Rank what the listener has heard; popular tracks that are new come after it."""

    @abstractmethod
    def scores(self) -> csr_matrix:
        """Return a positive score of each track heard, shape (listeners, tracks)."""

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the tracks heard with the largest scores, or popular ones that are new."""
        if pool == "new":
            return self._popular(k, pool)
        heard = rank_rows(self.scores(), k)
        return heard if pool == "heard" else self._fill_up(heard)


class MostPlayed(Repetition):
    """What the listener has heard for longest, or with the largest weight."""

    name = "most_played"
    is_baseline = True

    def scores(self) -> csr_matrix:
        """Return the listening time or the weight."""
        return self._dataset.matrix(self._side)


class Latest(Repetition):
    """What the listener has heard last."""

    name = "latest"
    is_baseline = True
    needs_order = True

    def scores(self) -> csr_matrix:
        """Return 1 by how many plays ago the newest play of the track was."""
        plays = self._plays
        columns, ages = [], []
        for first, last in pairwise(plays.indptr):
            newest = plays.tracks[first:last][::-1]
            heard, index = np.unique(newest, return_index=True)
            columns.append(heard)
            ages.append(index + 1)
        indptr = offsets(np.array([len(heard) for heard in columns]))
        arrays = (1 / np.concatenate(ages), np.concatenate(columns), indptr)
        shape = (len(columns), len(self._dataset.tracks))
        return csr_matrix(arrays, shape=shape, dtype=np.float32)


class Activation(Repetition):
    """Base-level activation: the sum of (plays ago)^-decay over the plays of a track.

    Anderson and Schooler, "Reflections of the Environment in Memory", Psychological Science 1991;
    in ACT-R the activation is its logarithm. Reiter-Haas, Parada-Cabaleiro, Schedl, Motamedi,
    Tkalcic and Lex, "Predicting Music Relistening Behavior Using the ACT-R Framework", RecSys 2021,
    rank tracks by it.
    """

    name = "activation"
    params_type = ActivationParams
    main_params = ("decay",)
    needs_order = True

    def scores(self) -> csr_matrix:
        """Return the activation, before its logarithm."""
        plays = self._plays
        return sum_plays(
            plays, activation(plays, self._params.decay), len(self._dataset.tracks)
        )


def activation(plays: Plays, decay: float) -> AnyFloatArray:
    """Return what each play adds to the activation of its track, shape (plays,)."""
    added: AnyFloatArray = plays.age.astype(np.float64) ** -decay
    return added


def sum_plays(plays: Plays, values: AnyFloatArray, tracks: int) -> csr_matrix:
    """Add up a value of each play by listener and track, shape (listeners, tracks)."""
    shape = (len(plays.indptr) - 1, tracks)
    places = (plays.listeners, plays.tracks)
    return csr_matrix(coo_matrix((values, places), shape=shape), dtype=np.float32)
