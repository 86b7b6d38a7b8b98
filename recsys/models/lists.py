"""Lists of other models: of a file, or of a function in another package."""

from functools import cached_property
from importlib.metadata import entry_points

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array
from recsys.errors import TrialError
from recsys.models.model import Model
from recsys.models.params import FunctionParams, ListsParams
from recsys.models.topk import Pool, keep_some

GROUP = "listening_loop.models"  # of entry points


def lists_name(digest: str) -> str:
    """Name the file beside a dataset that has the lists of a file, as rows and columns."""
    return f"lists-{digest}.npy"


class Lists(Model):
    """The lists of a file, as they are: neither the search nor an export learns anything."""

    name = "lists"
    params_type = ListsParams
    main_params = ("name",)

    @cached_property
    def _best(self) -> Int32Array:
        file = self._dataset.workspace.cached(lists_name(self._params.digest))
        best: Int32Array = np.load(file)
        return best

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the first k tracks of each list that are in the pool."""
        best = self._best
        if pool == "all":
            return best[:, :k]
        heard = self._dataset.matrix(self._side)
        rows = np.arange(len(best))[:, np.newaxis]
        was_heard = csr_matrix(heard[rows, best]).toarray() > 0
        return keep_some(best, was_heard == (pool == "heard"))[:, :k]


class Function(Lists):
    """The lists of a function `fit(heard)` that an entry point names.

    It is given listening time, a CSR matrix of shape (listeners, tracks), of the training data or,
    for an export, of all; it returns columns, best first, shape (listeners, any), at the ends of
    short lists -1.
    """

    name = "function"
    params_type = FunctionParams  # type: ignore[assignment]  # of another kind

    @cached_property
    def _best(self) -> Int32Array:
        name = self._params.name
        points = entry_points(group=GROUP)
        if name not in points.names:
            known = ", ".join(sorted(points.names)) or "none"
            raise TrialError(
                f"search.models.function.name: no entry point {name} of the group {GROUP}; "
                f"there are {known}"
            )
        heard = self._dataset.matrix(self._side)
        best = np.asarray(points[name].load()(heard))
        tracks = heard.shape[1]
        is_ok = (
            best.ndim == 2 and len(best) == heard.shape[0] and best.dtype.kind in "iu"
        )
        if not is_ok or (best.size and not -1 <= best.min() <= best.max() < tracks):
            raise TrialError(
                f"models.function: {name} returned {best.dtype} of shape {best.shape}; columns "
                f"from -1 to {tracks - 1}, shape ({heard.shape[0]}, any), are expected"
            )
        return best.astype(np.int32)
