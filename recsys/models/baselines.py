"""Rules without training, which every search compares its models with."""

from abc import abstractmethod

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyFloatArray, Int32Array, IntArray
from recsys.models.base import Model
from recsys.models.factors import Pool
from recsys.models.sparse import rank_rows


class Popular(Model):
    """The tracks with the most listening time, for all listeners."""

    name = "popular"
    is_baseline = True

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the same list to each listener, without the tracks outside the pool."""
        return self.popular(k, pool, listeners)


class Repetition(Model):
    """Rank the tracks that the listener has heard; popular new tracks come after them."""

    @abstractmethod
    def scores(self) -> csr_matrix:
        """Compute a positive score of each track heard, shape (listeners, tracks)."""

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the tracks heard with the largest scores, or popular new tracks."""
        if pool == "new":
            return self.popular(k, pool, listeners)
        scores = self.scores()
        if listeners is not None:
            scores = scores[listeners]
        heard = rank_rows(scores, k)
        return heard if pool == "repeat" else self.fill_up(heard, listeners)

    def score(self, places: csr_matrix) -> AnyFloatArray:
        """Score the tracks that the listener has heard; see `Model.score`."""
        return np.ravel(self.scores()[places.nonzero()])


class MostPlayed(Repetition):
    """The tracks that the listener has heard for longest, or with the largest weight."""

    name = "most_played"
    is_baseline = True

    def scores(self) -> csr_matrix:
        """Take the listening time or the weight."""
        return self.train.matrix


class Latest(Repetition):
    """The tracks that the listener has heard last."""

    name = "latest"
    is_baseline = True
    needs_order = True

    def scores(self) -> csr_matrix:
        """Compute 1 by how many plays ago the newest play of the track was."""
        plays = self.train.ordered_plays
        shape = self.train.matrix.shape
        pairs = plays.listeners * shape[1] + plays.tracks
        _, behind = np.unique(pairs[::-1], return_index=True)
        newest = len(pairs) - 1 - behind
        positions = (plays.listeners[newest], plays.tracks[newest])
        return csr_matrix((1 / plays.age[newest], positions), shape, dtype=np.float32)
