"""The shape of every model: a frozen configuration, `fit` and `recommend`.

Another kind is a file with its `looplib.config.Config` and its `Model`, and a line in
`recsys.models.registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from itertools import pairwise
from typing import Any, ClassVar, Self, get_args, get_type_hints

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import NO_TRACK, AnyFloatArray, Int32Array, IntArray
from looplib.categories import number_alone
from looplib.config import Config
from looplib.rerank import ARTIST, Rerank, rerank
from recsys.dataset.dataset import Summary
from recsys.dataset.interactions import Interactions
from recsys.models.factors import Factors, Pool, fill_up

MAPPED = 16  # bytes of an interaction that are mapped, by listener and by track
State = Mapping[str, Any]  # arrays and numbers, as `np.savez` takes them


class Model(ABC):
    """A model of some kind, with its configuration.

    A kind annotates `config` with its own class.
    """

    name: ClassVar[str]  # the kind in configurations, ledger, leaderboard and manifest
    # hyperparameters that are always shown; others are shown if they are no default
    main_params: ClassVar[tuple[str, ...]] = ()
    is_baseline: ClassVar[bool] = False  # scored once beside the trials, never wins
    needs_order: ClassVar[bool] = False  # it needs the order of the plays
    has_factors: ClassVar[bool] = False
    in_blocks: ClassVar[bool] = False  # `recsys.blockwise` can fit it on all workers
    config: Config  # the hyperparameters, each of which is an axis of a search
    train: Interactions
    threads: int

    def __init__(self, config: Config | None = None, **values: Any) -> None:  # noqa: ANN401
        """Take a configuration, or values of its fields.

        Raises:
            ValueError: A value is not allowed.
        """
        self.config = config or self.config_type()(**values)

    @classmethod
    def config_type(cls) -> type[Config]:
        """Return the class of the kind's configuration."""
        config_type: type[Config] = get_type_hints(cls)["config"]
        return config_type

    def fit(
        self,
        train: Interactions,
        *,
        seed: int,  # noqa: ARG002  kinds that draw use it
        threads: int,
    ) -> Self:
        """Fit the model; a kind that learns extends this.

        Args:
            train: The interactions to learn from; their listeners get recommendations.
            seed: Seed of all randomness.
            threads: The number of threads; they change no result.

        Raises:
            TrialError: The interactions do not allow it.
        """
        self.train = train
        self.threads = threads
        return self

    @classmethod  # noqa: B027  most kinds have none
    def load_kernels(cls) -> None:
        """Load compiled code, once in a process, so that no fit counts its time."""

    @classmethod
    def estimate_bytes(
        cls,
        config: Any,  # noqa: ANN401, ARG003  of its class
        summary: Summary,
    ) -> int:
        """Estimate the memory of a fit and its lists, beside an empty process."""
        return MAPPED * summary.interactions

    @abstractmethod
    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the k best tracks of a pool to each listener.

        Args:
            k: The length of the lists.
            pool: The tracks that lists are made of.
            listeners: Rows of the listeners who get a list; None for all.

        Returns:
            Columns, best first, shape (listeners, ≤ k); `NO_TRACK` at the end of short lists.
        """

    def recommend_pools(
        self, k: int, listeners: IntArray | None = None
    ) -> dict[Pool, Int32Array]:
        """Recommend from each pool, as `recommend` does; factors rank a track once for all."""
        if factors := self.factors:
            return factors.recommend_pools(self.train, k, self.threads, listeners)
        return {pool: self.recommend(k, pool, listeners) for pool in get_args(Pool)}

    def diversify(self, lists: Int32Array, k: int, options: Rerank) -> Int32Array:
        """Re-rank lists of `options.depth(k)` tracks, which the options ask for."""
        if not options.is_on:
            return lists
        features = self.train.features
        groups = {
            name: number_alone(features.group(name))
            for name in {ARTIST, *options.most_per}
            if name in (ARTIST, *features.names)
        }
        vectors = self.factors.item_factors if self.factors else None
        return rerank(lists, k, options, groups, vectors)

    def score(self, places: csr_matrix) -> AnyFloatArray:
        """Score tracks for listeners, by factors or as the kind does.

        Args:
            places: A matrix with a value for each pair to score, shape (listeners, tracks).

        Returns:
            Scores in the order of the values, 0 if the model has none.
        """
        factors = self.factors
        return factors.score(places) if factors else np.zeros(places.nnz)

    def narrow(self, listeners: IntArray) -> Self:
        """Copy the model for some rows of the listeners, in their order."""
        part = copy(self)
        part.train = self.train.select(listeners)
        return part

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle a model without the interactions, which are mapped from the disk."""
        state = vars(self).copy()
        state.pop("train", None)
        return state

    @property
    def factors(self) -> Factors | None:
        """The vectors of listeners and tracks; None of a kind without."""
        return None

    def popular(
        self, k: int, pool: Pool, listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the tracks with the most listening time; see `recommend`."""
        matrix = self.train.select(listeners).matrix
        tracks = self.train.by_popularity
        lists = np.full((matrix.shape[0], min(k, len(tracks))), NO_TRACK, np.int32)
        if pool == "all":
            lists[:] = tracks[:k]
            return lists
        ranks = np.arange(len(tracks))
        rank_of = np.empty_like(ranks)
        rank_of[tracks] = ranks
        for row, (start, end) in enumerate(pairwise(matrix.indptr)):
            best = np.sort(rank_of[matrix.indices[start:end]])  # heard
            if pool == "new":
                best = np.setdiff1d(ranks[: k + len(best)], best, assume_unique=True)
            best = best[:k]
            lists[row, : len(best)] = tracks[best]
        return lists

    def fill_up(
        self, lists: Int32Array, listeners: IntArray | None = None
    ) -> Int32Array:
        """Put popular tracks that are new to the listener at the end of short lists."""
        return fill_up(lists, self.popular(lists.shape[1], "new", listeners))


class IterativeModel(Model):
    """A model that is fitted in iterations, between which its state can be stored."""

    state: State  # the `iterations` done, and arrays

    @property
    def iterations(self) -> int:
        """The number of iterations done."""
        return int(self.state["iterations"])

    def fit(
        self, train: Interactions, *, seed: int, threads: int, iterations: int = 15
    ) -> Self:
        """Begin a fit and run some iterations; see `Model.fit`."""
        self.restore(train, self.first_state(train, seed), threads=threads)
        return self.partial_fit(iterations)

    def restore(self, train: Interactions, state: State, *, threads: int) -> Self:
        """Continue a fit to the same interactions from a state, the same to the bit."""
        self.state = state
        return super().fit(train, seed=0, threads=threads)

    @abstractmethod
    def first_state(self, train: Interactions, seed: int) -> State:
        """Draw the state with which a fit begins, of 0 iterations."""

    @abstractmethod
    def partial_fit(self, iterations: int) -> Self:
        """Run some more iterations.

        Raises:
            TrialError: It cannot go on.
        """
