"""What a search knows of a model; another kind is a class that says the same.

It makes a grid of hyperparameters, fits sweep by sweep, keeps the state of a fit between its steps,
and asks for lists.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from looplib.arrays import Int32Array
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import SplitName
from recsys.dataset.plays import Plays, read_plays
from recsys.models.als import Fit
from recsys.models.topk import Pool, fill_up, popular_lists

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
    # else it is fitted at once, when lists are asked for
    takes_sweeps: ClassVar[bool] = False
    needs_order: ClassVar[bool] = False  # of the plays
    in_blocks: ClassVar[bool] = False  # `recsys.blockwise` fits it across all workers
    sweeps: int  # done so far

    def __init__(
        self,
        dataset: Dataset,
        side: SplitName,
        params: Any,  # noqa: ANN401  of its kind
        seed: int,
        threads: int,
        kept: State | None = None,
    ) -> None:
        """Prepare a fit, or take it up where another left its state.

        What follows is the same to the bit.
        """
        self._dataset = dataset
        self._side = side
        self._params = params
        self._seed = seed
        self._threads = threads
        self._kept = kept
        self.sweeps = int(kept["sweeps"]) if kept else 0

    @classmethod
    def grid(cls, axes: Axes) -> list[Any]:
        """Return every combination of the axes, as hyperparameters."""
        return [
            cls.params_type(**dict(zip(axes, values, strict=True)))
            for values in itertools.product(*axes.values())
        ]

    @cached_property
    def _plays(self) -> Plays:
        return read_plays(self._dataset, self._side)

    @property
    def fit(self) -> Fit | None:
        """The factors of listeners and tracks; None of a kind without."""
        return None

    def sweep(self, count: int) -> None:
        """Go on with the fit, or raise a `TrialError` where that is not possible."""
        self.sweeps += count

    def state(self) -> State:
        """Return the arrays from which a fit is taken up."""
        return {"sweeps": self.sweeps}

    def _popular(self, k: int, pool: Pool) -> Int32Array:
        """Return the tracks with the most listening time, for everybody."""
        return popular_lists(self._dataset, self._side, k, self._threads, pool)

    def _fill_up(self, lists: Int32Array) -> Int32Array:
        """Put popular tracks that are new to the listener at the end of short lists."""
        return fill_up(lists, self._popular(lists.shape[1], "new"))

    @abstractmethod
    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the k best tracks of each listener, best first, of all or of some.

        Returns:
            Columns, shape (listeners, ≤ k); `NO_TRACK` at the end of short lists.
        """
