"""The listeners whose lists a run keeps, so that one can look at what a model recommends."""

import numpy as np
import numpy.typing as npt

from recsys.dataset.dataset import Dataset

COUNT = 5


def example_listeners(dataset: Dataset) -> npt.NDArray[np.intp]:
    """Rows of a few listeners with training interactions, from the one with the fewest to the one with the most."""
    interactions = np.diff(dataset.matrix("train").indptr)
    known = np.flatnonzero(interactions)
    by_interactions = known[np.argsort(interactions[known], kind="stable")]
    places = np.linspace(0, len(known) - 1, min(COUNT, len(known)))
    return by_interactions[np.rint(places).astype(np.intp)]
