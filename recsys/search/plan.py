"""Plan a search: its dataset, what may win, and the baselines."""

from dataclasses import dataclass

from analysis.store import Store
from looplib.files import sha256_file
from recsys.config import SearchConfig
from recsys.dataset.plan import DatasetPlan, plan_dataset
from recsys.errors import SearchError
from recsys.models.external import CLASS, describe_class
from recsys.next_track.sessions import check_sessions
from recsys.search.trials import Trial, plan_baselines, plan_trials


@dataclass(frozen=True)
class SearchPlan:
    """All that is decided before the work of a search begins."""

    config: SearchConfig
    dataset: DatasetPlan
    candidates: list[Trial]  # that may win
    baselines: list[Trial]  # rules without training, scored beside them


def plan_search(store: Store, config: SearchConfig) -> SearchPlan:
    """Plan a search.

    Raises:
        UserError: The store, the split or the models do not allow it, or a file of lists cannot be
            read.
    """
    dataset = plan_dataset(store, config)
    if config.next_track:
        check_sessions(store, dataset.rule)
    iterations = config.search.iterations
    models = {
        name: describe_class(name, axes, iterations) if CLASS in axes else axes
        for name, axes in config.models.items()
    }
    try:
        lists = {name: sha256_file(file)[:12] for name, file in config.lists.items()}
    except OSError as error:
        raise SearchError(f"lists: {error.filename}: {error.strerror}") from None
    seed, is_ordered = config.seed, dataset.rule.is_ordered
    candidates = plan_trials(models, lists, dataset.digest, seed, is_ordered=is_ordered)
    if not candidates:
        raise SearchError(
            f"models: {', '.join(models) or 'none'}; at least one that the store allows, or a "
            "file of lists, is needed"
        )
    baselines = plan_baselines(seed, is_ordered=is_ordered)
    return SearchPlan(config, dataset, candidates, baselines)
