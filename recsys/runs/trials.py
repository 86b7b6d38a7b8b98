"""Plan the trials of a search: the combinations of its space."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ValidationError

from looplib.files import json_digest
from recsys.config import Search
from recsys.models.kinds import KINDS
from recsys.models.lists import Lists
from recsys.models.params import ListsParams


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

    @property
    def takes_sweeps(self) -> bool:
        """Whether it is fitted sweep by sweep; else it is scored once, at sweep 0."""
        return KINDS[self.kind].takes_sweeps


def plan_candidates(
    search: Search,
    dataset_digest: str,
    seed: int,
    *,
    is_ordered: bool = False,
) -> tuple[Trial, ...]:
    """Plan the trials of a search; those with the most factors take longest and come first.

    Unless the order of the plays is known, kinds of model that need it are left out.
    """
    candidates = [
        _plan_trial(kind, params, dataset_digest, seed)
        for kind, axes in search.axes.items()
        if is_ordered or not KINDS[kind].needs_order
        for params in KINDS[kind].grid(axes)
    ]
    candidates.sort(key=lambda trial: -getattr(trial.params, "factors", 0))
    return tuple(candidates)


def plan_lists(
    digests: Mapping[str, str],
    dataset_digest: str,
    seed: int,
) -> tuple[Trial, ...]:
    """Plan the trials of lists of other models, by the digests of their files."""
    return tuple(
        _plan_trial(Lists.name, ListsParams(name, digest), dataset_digest, seed)
        for name, digest in digests.items()
    )


def plan_baselines(seed: int, *, is_ordered: bool = False) -> tuple[Trial, ...]:
    """Plan the baselines of a search, which have no hyperparameters."""
    return tuple(
        Trial(kind.name, kind.name, kind.params_type(), seed)
        for kind in KINDS.values()
        if kind.is_baseline and (is_ordered or not kind.needs_order)
    )


def plan_wider(
    trial: Trial,
    tried: Iterable[Trial],
    dataset_digest: str,
) -> dict[str, Trial]:
    """Plan the trials one step beyond a trial, one for each axis at whose edge it is.

    Steps are geometric: as large as that between the last two values that were tried. An axis
    of one value is left out, and so is a hyperparameter that does not go so far.

    Returns:
        The trials by the axis.
    """
    others = [asdict(other.params) for other in tried if other.kind == trial.kind]
    wider = {}
    for name, value in asdict(trial.params).items():
        values = sorted({value, *(other[name] for other in others)})
        if len(values) < 2 or isinstance(value, str):
            continue
        if value >= values[-1]:
            step = values[-1] / (values[-2] or values[-1] / 2)
        elif 0 < value <= values[0]:
            step = values[0] / values[1]
        else:
            continue
        if isinstance(value, int):
            beyond: float = round(value * step)
        else:
            beyond = float(f"{value * step:.3g}")
        with suppress(ValidationError):
            params = replace(trial.params, **{name: beyond})
            if params != trial.params:
                wider[name] = _plan_trial(
                    trial.kind, params, dataset_digest, trial.seed
                )
    return wider


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
