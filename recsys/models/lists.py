"""Recommend a list to every listener of a dataset: by the model where it knows the listener, else the popular tracks.

The search scores the same lists that the export publishes.
"""

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array, IntArray
from recsys.dataset.dataset import Dataset, Side
from recsys.models.params import Fit
from recsys.models.topk import top_tracks

EXAMPLES = 5


def personal_lists(
    model: Fit, dataset: Dataset, side: Side, k: int, threads: int, filter_seen: bool = False
) -> Int32Array:
    """Recommend the k best tracks to each listener, by a fit on this side of the dataset.

    A listener without an interaction has no factors of its own, and gets the tracks with the most listening time.
    With `filter_seen`, tracks that the listener has heard or skipped are left out.

    Returns:
        Tracks, best first, shape (listeners, min(k, tracks)); `NO_TRACK` at the end of lists that `filter_seen` leaves
        short.
    """
    heard, skips = dataset.matrix(side), dataset.skips(side)
    seen = (heard if skips is None else csr_matrix(heard + skips)) if filter_seen else None
    lists = top_tracks(model.user_factors, model.item_factors, k, threads, seen)
    lists[without_interactions(heard)] = dataset.most_popular(side, k)
    return lists


def without_interactions(interactions: csr_matrix) -> IntArray:
    """Return the rows that hold nothing, ascending."""
    return np.flatnonzero(np.diff(interactions.indptr) == 0)


def example_listeners(dataset: Dataset) -> IntArray:
    """Choose the rows of a few listeners whose lists a run keeps, from the fewest training interactions to the most."""
    interactions = np.diff(dataset.matrix("train").indptr)
    known = np.flatnonzero(interactions)
    by_interactions = known[np.argsort(interactions[known], kind="stable")]
    positions = np.linspace(0, len(known) - 1, min(EXAMPLES, len(known)))
    return by_interactions[np.rint(positions).astype(np.intp)]
