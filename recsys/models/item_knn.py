"""Nearest neighbours of tracks: listeners are recommended what is near to what they heard."""

from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, diags

from looplib.arrays import Int32Array
from recsys.models.model import Model
from recsys.models.params import ItemKnnParams
from recsys.models.sparse import nearest, products_at, rank_rows, top_products
from recsys.models.topk import Pool


class ItemKnn(Model):
    """Score a track by its closeness to the tracks heard, each by its listening time.

    Closeness is the product of two tracks' weighted columns of interactions; the nearest ones of
    each track are kept. Weights: Robertson and Zaragoza, "The Probabilistic Relevance Framework:
    BM25 and Beyond", 2009, with a track as the document and a listener as the term; TF-IDF; or the
    listening times, for the cosine. Popular tracks come after what is near.
    """

    name = "item_knn"
    params_type = ItemKnnParams
    main_params = ("neighbours", "weighting")

    @cached_property
    def _heard(self) -> csr_matrix:
        return self._dataset.matrix(self._side)

    @cached_property
    def _neighbours(self) -> csr_matrix:
        by_track = weigh(csr_matrix(self._heard.T), self._params)
        by_listener = csr_matrix(by_track.T)
        return nearest(by_track, by_listener, self._params.neighbours, self._threads)

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the tracks that are nearest to what the listener heard."""
        heard = self._heard
        near = self._neighbours
        threads = self._threads
        if pool == "heard":
            scores = products_at(heard, near, heard, threads)
            arrays = (scores, heard.indices, heard.indptr)
            return rank_rows(csr_matrix(arrays, shape=heard.shape), k)
        left_out = heard if pool == "new" else None
        best, _ = top_products(heard, near, k, threads, left_out)
        return self._fill_up(best)


def weigh(by_track: csr_matrix, params: ItemKnnParams) -> csr_matrix:
    """Weigh interactions, shape (tracks, listeners), for the comparison of tracks."""
    tracks, listeners = by_track.shape
    times = by_track.data.astype(np.float64)
    track = by_track.tocoo(copy=False).row
    if params.weighting != "cosine":
        heard = np.bincount(by_track.indices, minlength=listeners)
        rarity = (np.log(tracks) - np.log1p(heard))[by_track.indices]
        if params.weighting == "tfidf":
            times = np.sqrt(times) * rarity
        else:
            total = np.bincount(track, times, minlength=tracks)
            length = 1 - params.b + params.b * total / total.mean()
            k1 = params.k1
            times = times * (k1 + 1) / (k1 * length[track] + times) * rarity
    weighed = csr_matrix((times, by_track.indices, by_track.indptr), by_track.shape)
    if params.weighting == "bm25":
        return weighed
    norms = np.sqrt(np.bincount(track, times**2, minlength=tracks))
    return csr_matrix(diags(1 / np.where(norms > 0, norms, 1)) @ weighed)
