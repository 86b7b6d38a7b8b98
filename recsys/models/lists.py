"""Lists for every listener of a dataset: by the model where it knows the listener, the popular tracks elsewhere.

The search scores the same lists that the export publishes.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array
from recsys.dataset.dataset import Dataset, Side
from recsys.models.params import Fit
from recsys.models.topk import top_tracks


def personal_lists(
    model: Fit, dataset: Dataset, side: Side, k: int, threads: int, filter_seen: bool = False
) -> Int32Array:
    """The k best tracks of each listener.

    A listener without an interaction has no factors of its own, and gets the tracks with the most listening time.

    Args:
        model: A fit on this side of the dataset.
        dataset: Whose listeners.
        side: Which interactions the model was fitted on.
        k: Length of the lists.
        threads: Threads to use.
        filter_seen: Leave out the tracks that the listener has heard or skipped.

    Returns:
        Int32Array of tracks, best first, shape (listeners, min(k, tracks)); `NO_TRACK` at the end of lists that
        `filter_seen` leaves short.
    """
    heard, skips = dataset.matrix(side), dataset.skips(side)
    seen = (heard if skips is None else csr_matrix(heard + skips)) if filter_seen else None
    lists = top_tracks(model.user_factors, model.item_factors, k, threads, seen)
    lists[without_interactions(heard)] = dataset.most_popular(side, k)
    return lists


def without_interactions(interactions: csr_matrix) -> npt.NDArray[np.intp]:
    """Rows that hold nothing, ascending."""
    return np.flatnonzero(np.diff(interactions.indptr) == 0)
