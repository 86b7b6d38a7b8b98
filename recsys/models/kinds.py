"""The kinds of model that a search fits and scores.

Another one is one class here, and its entry in `KINDS`.

A search knows of a model what `Model` says: it makes a grid of hyperparameters, fits sweep by
sweep, keeps the state of a fit between its steps, and asks for lists.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsParams
from looplib.arrays import Int32Array
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, Side
from recsys.models.als import Equations, Fit, first_factors, make_equations, sweep
from recsys.models.topk import NO_TRACK, personal_lists, popular_fit

Axes = Mapping[str, Sequence[Any]]
State = Mapping[str, Any]


@dataclass(frozen=True)
class NoParams:
    """The hyperparameters of a model that has none."""


class Model(ABC):
    """A model of one kind, fitted to one side of a dataset."""

    name: ClassVar[str]  # in ledger, leaderboard and manifest
    params_type: ClassVar[type] = NoParams  # a frozen dataclass of its hyperparameters
    # always shown; others are shown if they are no default
    main_params: ClassVar[tuple[str, ...]] = ()
    # scored once, beside the trials, and never wins
    is_baseline: ClassVar[bool] = False
    in_blocks: ClassVar[bool] = False  # `recsys.blockwise` fits it across all workers
    sweeps: int  # done so far
    # the factors of listeners and tracks; None of a kind that has none
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
        """Prepare a fit, or go on from the state that another left, the same to the bit.

        The seed decides all that is random in the fit.
        """
        self._dataset = dataset
        self._side = side
        self._params = params
        self._seed = seed
        self._threads = threads
        self._begin(kept)

    def _begin(self, kept: State | None) -> None:
        """Set what the sweeps change, from the state of another fit or anew."""
        self.sweeps = int(kept["sweeps"]) if kept else 0

    @classmethod
    def grid(cls, axes: Axes) -> list[Any]:  # noqa: ARG003  none has no axes
        """Return all hyperparameters that a search space asks for."""
        return [cls.params_type()]

    def sweep(self, count: int) -> None:
        """Go on with the fit for `count` sweeps.

        Raises:
            TrialError: The fit cannot go on.
        """
        self.sweeps += count

    def state(self) -> State:
        """Return the arrays from which a fit can go on."""
        return {"sweeps": self.sweeps}

    @abstractmethod
    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return the k best tracks of each listener, `NO_TRACK` at the end of short lists.

        Shape (listeners, ≤ k).
        """


class Als(Model):
    """Implicit ALS (`recsys.models.als`); the popular tracks for listeners who heard none."""

    name = "als"
    params_type = AlsParams
    main_params = ("factors", "regularization", "alpha")
    in_blocks = True
    fit: Fit

    def _begin(self, kept: State | None) -> None:
        """Take over the factors of both sides, or draw the first ones."""
        super()._begin(kept)
        if kept:
            self.fit = Fit(self.sweeps, kept["user_factors"], kept["item_factors"])
        else:
            shape = (len(self._dataset.users), len(self._dataset.tracks))
            self.fit = first_factors(shape, self._params.factors, self._seed)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """The equations of the listeners and of the tracks.

        A fit in blocks, which may have more interactions than a matrix can hold, needs none.
        """
        by_listener = self._dataset.matrix(self._side)
        by_track = self._dataset.by_track(self._side)
        listeners = make_equations(by_listener, self._params)
        return listeners, make_equations(by_track, self._params)

    @classmethod
    def grid(cls, axes: Axes) -> list[AlsParams]:
        """Return every combination of the axes."""
        return [
            AlsParams(**dict(zip(axes, values, strict=True)))
            for values in itertools.product(*axes.values())
        ]

    def sweep(self, count: int) -> None:
        """Solve both sides `count` times more."""
        for _ in range(count):
            sweep(self.fit, *self._equations, self._threads)
        self.sweeps = self.fit.sweeps

    def state(self) -> State:
        """Return the factors of both sides."""
        return vars(self.fit)

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
        fit = popular_fit(self._dataset, self._side)
        return personal_lists(
            fit, self._dataset, self._side, k, self._threads, filter_seen
        )


class Random(Model):
    """Distinct tracks drawn at random."""

    name = "random"
    is_baseline = True

    def lists(self, k: int, *, filter_seen: bool) -> Int32Array:
        """Return lists of distinct tracks, each equally likely."""
        data = self._dataset
        generator = make_generator(self._seed, "random baseline")
        drawn = 2 * k if filter_seen else k
        listeners = len(data.users)
        lists = random_lists(listeners, len(data.tracks), drawn, generator)
        if not filter_seen:
            return lists
        for first, last in data.ranges(self._side):
            seen = data.matrix(self._side, first, last)
            lists[first:last] = unseen_first(lists[first:last], seen)
        return lists[:, :k]


KINDS: Mapping[str, type[Model]] = {kind.name: kind for kind in (Als, Random, Popular)}


def shown_params(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters to show: the main ones, and those that are no default."""
    main = KINDS[kind].main_params
    defaults = {field.name: field.default for field in fields(KINDS[kind].params_type)}
    return {
        name: value
        for name, value in params.items()
        if name in main or value != defaults[name]
    }


def random_lists(
    listeners: int, tracks: int, k: int, generator: np.random.Generator
) -> Int32Array:
    """Draw distinct tracks for each listener, shape (listeners, min(k, tracks)).

    A list is what follows a random position in one random order of all tracks: at each rank, every
    track is equally likely, and listeners are independent given the order.
    """
    order = generator.permutation(tracks).astype(np.int32)
    start = generator.integers(tracks, size=(listeners, 1))
    position = start + np.arange(min(k, tracks))
    lists: Int32Array = order[position % tracks]
    return lists


def unseen_first(lists: Int32Array, seen: csr_matrix) -> Int32Array:
    """Leave out the tracks that a listener has a value for, and put `NO_TRACK` at the ends."""
    listener = np.arange(len(lists))[:, None]
    is_seen = csr_matrix(seen[listener, lists]).toarray() != 0
    order = np.argsort(is_seen, axis=1, kind="stable")
    kept = np.where(is_seen, np.int32(NO_TRACK), lists)
    return np.take_along_axis(kept, order, axis=1)
