"""The kinds of model that a search fits and scores.

Another one is one class here, and its entry in `KINDS`.

A search knows of a model what `Model` says: it makes a grid of hyperparameters, fits sweep by
sweep, keeps the state of a fit between its steps, and asks for lists.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from looplib.als import AlsParams
from looplib.arrays import AnyIntArray, Int32Array
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, Side
from recsys.models import als
from recsys.models.als import Fit, first_factors
from recsys.models.topk import NO_TRACK, personal_lists

Axes = Mapping[str, Sequence[Any]]
State = Mapping[str, Any]


@dataclass(frozen=True)
class NoParams:
    """The hyperparameters of a model that has none."""


class Model(ABC):
    """A model of one kind, fitted to one side of a dataset.

    The seed decides all that is random in the fit.
    """

    name: ClassVar[str]  # in ledger, leaderboard and manifest
    params_type: ClassVar[type] = NoParams  # a frozen dataclass of its hyperparameters
    # always shown; others are shown where they are no default
    main_params: ClassVar[tuple[str, ...]] = ()
    # scored once, beside the trials, and never wins
    is_baseline: ClassVar[bool] = False
    in_blocks: ClassVar[bool] = False  # `recsys.blockwise` fits it across all workers
    sweeps: int  # done so far
    # the factors of listeners and tracks; None of a kind without
    fit: Fit | None = None

    def __init__(
        self,
        dataset: Dataset,
        side: Side,
        params: Any,  # noqa: ANN401  of its kind
        seed: int,
        threads: int,
        kept: State | None = None,
    ) -> None:
        """Prepare a fit, or take it up where another left its state.

        What follows is the same to the bit.
        """
        self._dataset, self._side, self._params, self._seed, self._threads = (
            dataset,
            side,
            params,
            seed,
            threads,
        )
        self.sweeps = int(kept["sweeps"]) if kept else 0

    @classmethod
    def grid(cls, axes: Axes) -> list[Any]:  # noqa: ARG003  none has no axes
        """Return all hyperparameters that a search space asks for.

        Those with the slowest fits may stand first.
        """
        return [cls.params_type()]

    def sweep(self, count: int) -> None:
        """Go on with the fit, or raise a `TrialError` where that is not possible."""
        self.sweeps += count

    def state(self) -> State:
        """Return the arrays from which a fit is taken up."""
        return {"sweeps": self.sweeps}

    def _unseen(self, lists: Int32Array, k: int) -> Int32Array:
        """Remove from lists what their listeners have interactions with; shape (listeners, k)."""
        indices, indptr = (
            self._dataset.array(self._side, name) for name in ("indices", "indptr")
        )
        return unseen(lists, k, indices, indptr)

    @abstractmethod
    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return the k best tracks of each listener, `NO_TRACK` at the end of short lists.

        Shape (listeners, ≤ k).
        """


class Als(Model):
    """Implicit ALS (`recsys.models.als`).

    The popular tracks for listeners without an interaction.
    """

    name = "als"
    params_type = AlsParams
    main_params = ("factors", "regularization", "alpha")
    in_blocks = True
    fit: Fit

    def __init__(
        self,
        dataset: Dataset,
        side: Side,
        params: AlsParams,
        seed: int,
        threads: int,
        kept: State | None = None,
    ) -> None:
        """Take over the factors of both sides, or draw the first ones."""
        super().__init__(dataset, side, params, seed, threads, kept)
        shape = (len(dataset.users), len(dataset.tracks))
        factors = (
            (kept["user_factors"], kept["item_factors"])
            if kept
            else first_factors(shape, params.factors, seed)
        )
        self.fit = Fit(self.sweeps, *factors)

    @cached_property
    def _solver(self) -> als.Als:
        """The solver, made when it is needed.

        A fit in blocks may have more interactions than its matrix can hold.
        """
        data, side = self._dataset, self._side
        by_track = partial(data.by_track, side)
        matrices = (
            data.matrix(side),
            self._params,
            self._seed,
            self._threads,
            data.skips(side),
        )
        return als.Als(*matrices, self.fit, by_track)

    @classmethod
    def grid(cls, axes: Axes) -> list[AlsParams]:
        """Return every combination of the axes."""
        return [
            AlsParams(**dict(zip(axes, values, strict=True)))
            for values in itertools.product(*axes.values())
        ]

    def sweep(self, count: int) -> None:
        """Solve both sides `count` times more."""
        self._solver.sweep(count)
        self.fit, self.sweeps = self._solver, self._solver.sweeps

    def state(self) -> State:
        """Return the factors of both sides."""
        return factors_of(self.fit)

    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return the tracks with the largest products of factors."""
        return personal_lists(
            self.fit, self._dataset, self._side, k, self._threads, filter_seen
        )


class Popular(Model):
    """The tracks with the most listening time, for everybody."""

    name = "popular"
    is_baseline = True

    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return the same list for each listener, but for what a listener has seen."""
        ranking = self._dataset.most_popular(
            self._side, len(self._dataset.tracks) if filter_seen else k
        )
        lists = np.broadcast_to(ranking, (len(self._dataset.users), len(ranking)))
        return self._unseen(lists, k) if filter_seen else lists


class Random(Model):
    """Distinct tracks drawn at random."""

    name = "random"
    is_baseline = True

    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return lists of distinct tracks, each equally likely."""
        shape = (len(self._dataset.users), len(self._dataset.tracks))
        lists = random_lists(
            *shape,
            2 * k if filter_seen else k,
            make_generator(self._seed, "random baseline"),
        )
        return self._unseen(lists, k) if filter_seen else lists


KINDS: Mapping[str, type[Model]] = {kind.name: kind for kind in (Als, Random, Popular)}


def factors_of(fit: Fit) -> State:
    """Return the state of an ALS fit, however it was fitted."""
    return {
        "sweeps": fit.sweeps,
        "user_factors": fit.user_factors,
        "item_factors": fit.item_factors,
    }


def shown_params(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that tell a model of a kind from others.

    Its main ones, and what is no default.
    """
    main, defaults = (
        KINDS[kind].main_params,
        {field.name: field.default for field in fields(KINDS[kind].params_type)},
    )
    return {
        name: value
        for name, value in params.items()
        if name in main or value != defaults[name]
    }


def random_lists(
    listeners: int, tracks: int, k: int, generator: np.random.Generator
) -> Int32Array:
    """Draw distinct tracks for each listener, every list equally likely.

    Shape (listeners, min(k, tracks)).

    Lists with a repeat are drawn again, which leaves the rest uniform; where repeats are the rule
    (k near the number of tracks), each list is the beginning of a shuffle instead.
    """
    length = min(k, tracks)
    if length * length > tracks:
        rows = (generator.permutation(tracks)[:length] for _ in range(listeners))
        return (
            np.stack(list(rows)).astype(np.int32)
            if listeners
            else np.empty((0, length), dtype=np.int32)
        )
    lists = generator.integers(tracks, size=(listeners, length), dtype=np.int32)
    while len(
        repeated := np.flatnonzero(
            (np.diff(np.sort(lists, axis=1), axis=1) == 0).any(axis=1)
        )
    ):
        lists[repeated] = generator.integers(
            tracks, size=(len(repeated), length), dtype=np.int32
        )
    return lists


def unseen(
    lists: Int32Array, k: int, indices: Int32Array, indptr: AnyIntArray
) -> Int32Array:
    """Remove from lists of distinct tracks those at their listeners' rows of a CSR matrix.

    Shape (listeners, k).
    """
    kept = np.full((len(lists), k), NO_TRACK, dtype=np.int32)
    for row, columns in enumerate(lists):
        own = indices[indptr[row] : indptr[row + 1]]
        first = columns[: k + len(own)]  # at most the own ones of these are left out
        left = first[np.isin(first, own, invert=True)][:k]
        kept[row, : len(left)] = left
    return kept
