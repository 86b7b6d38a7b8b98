"""One fit of a search: a kind of model with its hyperparameters, and how far it has come."""

import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import load_interactions
from recsys.dataset.layout import SplitName
from recsys.models.base import IterativeModel, Model, State
from recsys.models.external import CLASS, External
from recsys.models.libraries import uses_gpu
from recsys.models.registry import find_kind

CHECKPOINTS = "checkpoints"  # a folder of the run


@dataclass(frozen=True)
class Trial:
    """One fit of the search."""

    # digest of dataset, hyperparameters and seed, the same in every search; a baseline has its name
    id: str
    kind: str  # kind of model, a name of `recsys.models.registry`
    params: Mapping[str, Any] = field(hash=False)  # all hyperparameters
    seed: int  # decides all that is random in the fit

    def __post_init__(self) -> None:
        """Refuse a kind of another version."""
        find_kind(self.kind, self.params)

    @property
    def model_type(self) -> type[Model]:
        """The class of the model."""
        return find_kind(self.kind, self.params)

    @property
    def config(self) -> Any:  # noqa: ANN401  of any kind
        """The hyperparameters, which were checked when the configuration was read."""
        return self.model_type.config_type().model_construct(**self.params)

    @property
    def is_baseline(self) -> bool:
        """Whether it is scored beside the others and never wins."""
        return self.model_type.is_baseline

    @property
    def is_iterative(self) -> bool:
        """Whether it is fitted in iterations; else it is scored once, after iteration 0."""
        return issubclass(self.model_type, IterativeModel)

    @property
    def blocks_folder(self) -> str:
        """The folder of the run for the factors of a fit in blocks."""
        return f"{CHECKPOINTS}/{self.id}"


@dataclass(frozen=True)
class Checkpoint:
    """A trial after a scored iteration."""

    trial: Trial
    iteration: int  # 0 of a fit without iterations

    @property
    def file(self) -> str:
        """The file of the run that has the state of the fit."""
        return f"{CHECKPOINTS}/{self.trial.id}-{self.iteration}.npz"

    def __str__(self) -> str:
        """Name the step in Dask's dashboard."""
        trial = self.trial
        return f"{trial.kind} {trial.id} after iteration {self.iteration}"

    @property
    def priority(self) -> int:
        """The Dask priority of its step: fits that are scored once, fits that have come far, rules.

        Other fits wait for them at a rung of halving. Nothing waits for rules, which fill gaps.
        """
        if self.trial.is_iterative:
            return self.iteration
        return -1 if self.trial.is_baseline else sys.maxsize

    @property
    def resources(self) -> dict[str, float]:
        """The Dask resources of a worker that can fit it."""
        params = self.trial.params
        return {"GPU": 1} if uses_gpu(params.get(CLASS, ""), params) else {}


def fit_trial(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    threads: int,
    state: State | None,
    report: Callable[[float], None] | None = None,
    shipped: bytes | None = None,
) -> Model:
    """Fit a trial up to a checkpoint, from a state of the fit if given.

    Args:
        checkpoint: The trial and the iteration.
        dataset: The data.
        split: The interactions to learn from.
        threads: The number of threads.
        state: State of the fit.
        report: Is called with the iterations done.
        shipped: The pickled class, if it cannot be imported here.
    """
    trial = checkpoint.trial
    is_ordered = trial.model_type.needs_order
    train = load_interactions(dataset, split, is_ordered=is_ordered)
    model = trial.model_type(trial.config)
    if shipped and isinstance(model, External):
        # the search that runs has pickled it
        model.shipped = pickle.loads(shipped)  # noqa: S301  # nosec B301
    if not isinstance(model, IterativeModel):
        return model.fit(train, seed=trial.seed, threads=threads)
    if state:
        model.restore(train, state, threads=threads)
    else:
        model.fit(train, seed=trial.seed, threads=threads, iterations=0)
    while model.iterations < checkpoint.iteration:
        model.partial_fit(1)
        if report:
            report(model.iterations)
    return model
