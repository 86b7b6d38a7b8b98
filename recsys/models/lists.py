"""Lists of another model, from a file."""

from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array, IntArray
from looplib.config import Config
from recsys.dataset.interactions import Interactions
from recsys.dataset.lists import lists_name
from recsys.errors import TrialError
from recsys.models.base import Model
from recsys.models.factors import Pool, keep_tracks


class FixedListsConfig(Config):
    """The name and the digest of a file of lists."""

    name: str = ""
    digest: str = ""
    """digest of the file"""


class FixedLists(Model):
    """The lists of a file as they are; nothing is learned."""

    name = "lists"
    main_params: ClassVar = ("name",)
    config: FixedListsConfig
    lists: Int32Array  # columns, best first, shape (listeners, any)

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Read the lists; see `Model.fit`."""
        if train.workspace is None:
            raise TrialError("lists of a file need the dataset that they stand beside")
        self.lists = np.load(train.workspace.cached(lists_name(self.config.digest)))
        return super().fit(train, seed=seed, threads=threads)

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the first k tracks of each list that are in the pool."""
        lists = self.lists if listeners is None else self.lists[listeners]
        if pool == "all":
            return lists[:, :k]
        heard = self.train.select(listeners).matrix
        rows = np.arange(len(lists))[:, np.newaxis]
        is_repeat = csr_matrix(heard[rows, lists]).toarray() > 0
        return keep_tracks(lists, is_repeat == (pool == "repeat"))[:, :k]
