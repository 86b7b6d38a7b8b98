"""Lists of other models: of a file, or of a function in another package."""

from importlib.metadata import entry_points
from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array
from looplib.config import Config
from recsys.dataset.interactions import Interactions
from recsys.dataset.lists import lists_name
from recsys.errors import TrialError
from recsys.models.base import Model
from recsys.models.factors import Pool, keep_tracks

GROUP = "listening_loop.models"  # of entry points


class FixedListsConfig(Config):
    """What names a file of lists of another model."""

    name: str = ""
    digest: str = ""
    """of the file"""


class FixedLists(Model):
    """The lists of a file, as they are: neither the search nor an export learns anything."""

    name = "lists"
    main_params: ClassVar = ("name",)
    config: FixedListsConfig
    lists: Int32Array  # columns, best first, shape (listeners, any)

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Read the lists; see `Model.fit`."""
        self.lists = self.read(train)
        return super().fit(train, seed=seed, threads=threads)

    def read(self, train: Interactions) -> Int32Array:
        """Read the lists that stand beside the dataset."""
        if train.workspace is None:
            raise TrialError("lists of a file need the dataset that they stand beside")
        file = train.workspace.cached(lists_name(self.config.digest))
        lists: Int32Array = np.load(file)
        return lists

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Recommend the first k tracks of each list that are in the pool."""
        lists = self.lists
        if pool == "all":
            return lists[:, :k]
        rows = np.arange(len(lists))[:, np.newaxis]
        is_repeat = csr_matrix(self.train.matrix[rows, lists]).toarray() > 0
        return keep_tracks(lists, is_repeat == (pool == "repeat"))[:, :k]


class FunctionConfig(Config):
    """The hyperparameters of `Function`."""

    name: str = ""
    """an entry point of the group listening_loop.models"""


class Function(FixedLists):
    """The lists of a function `fit(heard)` that an entry point names.

    It is given listening time, a CSR matrix of shape (listeners, tracks), of the training data or,
    for an export, of all; it returns columns, best first, shape (listeners, any), at the ends of
    short lists -1.
    """

    name = "function"
    config: FunctionConfig  # type: ignore[assignment]  # of another kind

    def read(self, train: Interactions) -> Int32Array:
        """Call the function.

        Raises:
            TrialError: There is none of this name, or it returns no lists.
        """
        name = self.config.name
        points = entry_points(group=GROUP)
        if name not in points.names:
            names = ", ".join(sorted(points.names)) or "none"
            raise TrialError(
                f"models.function.name: no entry point {name} of the group {GROUP}; "
                f"there are {names}"
            )
        lists = np.asarray(points[name].load()(train.matrix))
        listeners, tracks = train.matrix.shape
        is_ok = lists.ndim == 2 and len(lists) == listeners and lists.dtype.kind in "iu"
        if not is_ok or (lists.size and not -1 <= lists.min() <= lists.max() < tracks):
            raise TrialError(
                f"models.function: {name} returned {lists.dtype} of shape {lists.shape}; columns "
                f"from -1 to {tracks - 1}, shape ({listeners}, any), are expected"
            )
        return lists.astype(np.int32)
