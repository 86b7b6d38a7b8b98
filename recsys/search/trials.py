"""Plan a search: its dataset, its trials and its baselines."""

import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from analysis.store import Store
from looplib.files import json_digest
from recsys.config import SearchConfig
from recsys.dataset.plan import DatasetPlan, plan_dataset
from recsys.errors import SearchError
from recsys.models.external import CLASS, describe_class
from recsys.models.registry import MODELS, Axes, find_kind
from recsys.models.trial import Trial


@dataclass(frozen=True)
class SearchPlan:
    """The decisions before the work of a search begins."""

    config: SearchConfig
    dataset: DatasetPlan

    @cached_property
    def candidates(self) -> list[Trial]:
        """The trials that may win.

        Raises:
            SearchError: A class cannot be read.
        """
        config = self.config
        models = {
            name: describe_class(name, axes) if CLASS in axes else axes
            for name, axes in config.models.items()
        }
        is_ordered = self.dataset.rule.is_ordered
        return plan_trials(
            models, self.dataset.digest, config.seed, is_ordered=is_ordered
        )

    @property
    def baselines(self) -> list[Trial]:
        """The rules without training that are scored beside the candidates."""
        is_ordered = self.dataset.rule.is_ordered
        return plan_baselines(self.config.seed, is_ordered=is_ordered)


def plan_search(store: Store, config: SearchConfig) -> SearchPlan:
    """Plan a search.

    Raises:
        UserError: The store, the split or the models do not allow it.
    """
    plan = SearchPlan(config, plan_dataset(store, config))
    if config.export.live and not plan.dataset.rule.is_ordered:
        raise SearchError(
            f"live learns from plays in order, and the rows of {store} have neither timestamps "
            "nor positions; leave it out: --set export.live=false"
        )
    if not plan.candidates:
        raise SearchError(
            f"models: {', '.join(config.models) or 'none'}; at least one that the store allows "
            "is needed"
        )
    return plan


def plan_trials(
    models: Mapping[str, Axes],
    dataset: str,
    seed: int,
    *,
    is_ordered: bool = False,
) -> list[Trial]:
    """Plan the trials of some kinds of model.

    Args:
        models: The values of each hyperparameter, by the kind of model.
        dataset: Digest of the data.
        seed: Seed of each trial.
        is_ordered: The order of the plays is known; else kinds that need it are left out.

    Returns:
        The trials; trials with the most factors take longest and come first.
    """
    trials = [
        _plan_trial(kind, dict(zip(axes, values, strict=True)), dataset, seed)
        for kind, axes in models.items()
        if is_ordered or not find_kind(kind, axes).needs_order
        for values in itertools.product(*axes.values())
    ]
    # a class may call anything `factors`
    trials.sort(
        key=lambda trial: trial.model_type.has_factors and -trial.params["factors"]
    )
    return trials


def plan_baselines(seed: int, *, is_ordered: bool = False) -> list[Trial]:
    """Plan the baselines of a search, which have no hyperparameters."""
    return [
        Trial(name, name, {}, seed)
        for name, kind in MODELS.items()
        if kind.is_baseline and (is_ordered or not kind.needs_order)
    ]


def plan_beyond(trial: Trial, tried: Iterable[Trial], dataset: str) -> dict[str, Trial]:
    """Plan a trial a step beyond each axis at whose edge a trial is.

    Steps are geometric: as large as the step between the last two values that were tried. An axis
    with a single value is left out, and so is a hyperparameter that does not allow the step.

    Returns:
        The trials by the axis.
    """
    params = [other.params for other in tried if other.kind == trial.kind]
    beyond = {}
    for name, value in trial.params.items():
        tried_values = (value, *(other[name] for other in params))
        values = sorted({*filter(_is_number, tried_values)})
        if len(values) < 2 or not _is_number(value):
            continue
        if value >= values[-1]:
            step = values[-1] / (values[-2] or values[-1] / 2)
        elif 0 < value <= values[0]:
            step = values[0] / values[1]
        else:
            continue
        is_whole = isinstance(value, int)
        further = round(value * step) if is_whole else float(f"{value * step:.3g}")
        with suppress(ValidationError):
            config = trial.model_type.config_type()(**{**trial.params, name: further})
            if further != value:
                changed = config.model_dump()
                beyond[name] = _plan_trial(trial.kind, changed, dataset, trial.seed)
    return beyond


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plan_trial(kind: str, params: Mapping[str, Any], dataset: str, seed: int) -> Trial:
    identity = {"kind": kind, "dataset": dataset, "params": params, "seed": seed}
    return Trial(json_digest(identity)[:12], kind, params, seed)
