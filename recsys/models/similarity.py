"""Score tracks by a matrix of similarities between tracks."""

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyFloatArray, Int32Array, IntArray
from recsys.models.base import Model
from recsys.models.factors import Pool, keep_tracks
from recsys.models.sparse import products_at, rank_rows, top_products

_ROWS = 256  # rows of similarities, which may be dense, that are ranked at once


class SimilarityModel(Model):
    """Base of item-to-item models: score a track by its similarity to the tracks heard.

    Each track heard counts by its listening time. Lists have the tracks with a positive score;
    popular tracks end short lists. Repeats are ranked by any score.
    """

    similarity: csr_matrix  # shape (tracks, tracks), may have negative values

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the tracks that are nearest to the tracks heard."""
        heard = self.train.select(listeners).matrix
        if pool == "repeat":
            scores = products_at(heard, self.similarity, heard, self.threads)
            arrays = (scores, heard.indices, heard.indptr)
            return rank_rows(csr_matrix(arrays, shape=heard.shape), k)
        left_out = heard if pool == "new" else None
        best, _ = top_products(heard, self.similarity, k, self.threads, left_out)
        return self.fill_up(best, listeners)

    def score(self, places: csr_matrix) -> AnyFloatArray:
        """Score tracks by their similarity to the tracks heard; see `Model.score`."""
        return products_at(self.train.matrix, self.similarity, places, self.threads)

    def similar(self, tracks: IntArray, k: int) -> Int32Array:
        """Rank the other tracks most similar to each of some, shape (tracks given, k)."""
        parts = []
        for first in range(0, len(tracks), _ROWS):
            near = csr_matrix(self.similarity[tracks[first : first + _ROWS]])
            parts.append(rank_rows(near, k + 1))
        lists = np.concatenate(parts)
        return keep_tracks(lists, lists != tracks[:, np.newaxis])[:, :k]
