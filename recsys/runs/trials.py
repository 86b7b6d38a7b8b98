"""Plan the trials of a search: the combinations of its space."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from looplib.files import json_digest
from looplib.randomness import make_generator
from recsys.config import Search
from recsys.errors import SearchError
from recsys.models.kinds import KINDS


@dataclass(frozen=True)
class Trial:
    """One fit of the search."""

    # digest of dataset, parameters and seed, the same in every search; of a baseline its name
    id: str
    kind: str  # of model, in `recsys.models.kinds.KINDS`
    params: Any  # of the kind's `params_type`
    seed: int  # decides all that is random in the fit

    def __post_init__(self) -> None:
        """Take hyperparameters as a JSON document has them, too."""
        if self.kind not in KINDS:
            raise ValueError(f"no kind of model is called {self.kind}")
        if isinstance(self.params, Mapping):
            params = KINDS[self.kind].params_type(**self.params)
            object.__setattr__(self, "params", params)

    @property
    def is_baseline(self) -> bool:
        """Whether it is scored beside the others and never wins."""
        return KINDS[self.kind].is_baseline


def plan_candidates(
    search: Search, dataset_digest: str, seed: int
) -> tuple[Trial, ...]:
    """Plan the trials of a search; those with the most factors take longest and come first."""
    axes = search.space.model_dump()
    candidates = [
        _plan_trial(kind.name, params, dataset_digest, seed)
        for kind in KINDS.values()
        if not kind.is_baseline
        for params in kind.grid(axes)
    ]
    if search.trials is not None:
        grid = len(candidates)
        if search.trials > grid:
            raise SearchError(
                f"search.trials is {search.trials}, and search.space has {grid} combinations; "
                "at most that many"
            )
        generator = make_generator(seed, "trials")
        drawn = generator.choice(grid, size=search.trials, replace=False)
        candidates = [candidates[index] for index in sorted(drawn)]
    candidates.sort(key=lambda trial: -getattr(trial.params, "factors", 0))
    return tuple(candidates)


def plan_baselines(seed: int) -> tuple[Trial, ...]:
    """Plan the baselines of a search, which have no hyperparameters."""
    return tuple(
        Trial(kind.name, kind.name, kind.params_type(), seed)
        for kind in KINDS.values()
        if kind.is_baseline
    )


def _plan_trial(
    kind: str,
    params: Any,  # noqa: ANN401  of any kind
    dataset_digest: str,
    seed: int,
) -> Trial:
    facts = {
        "kind": kind,
        "dataset": dataset_digest,
        "params": asdict(params),
        "seed": seed,
    }
    return Trial(json_digest(facts)[:12], kind, params, seed)
