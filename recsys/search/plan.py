"""Plan a search: its dataset, what may win, and the baselines."""

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def candidates(self) -> list[Trial]:
        """The trials that may win.

        Raises:
            SearchError: A file of lists, or a class, cannot be read.
        """
        config = self.config
        iterations = config.search.iterations
        models = {
            name: describe_class(name, axes, iterations) if CLASS in axes else axes
            for name, axes in config.models.items()
        }
        try:
            lists = {
                name: sha256_file(file)[:12] for name, file in config.lists.items()
            }
        except OSError as error:
            raise SearchError(f"lists: {error.filename}: {error.strerror}") from None
        facts = (models, lists, self.dataset.digest, config.seed)
        return plan_trials(*facts, is_ordered=self.dataset.rule.is_ordered)

    @property
    def baselines(self) -> list[Trial]:
        """The rules without training that are scored beside them."""
        is_ordered = self.dataset.rule.is_ordered
        return plan_baselines(self.config.seed, is_ordered=is_ordered)


def plan_search(store: Store, config: SearchConfig) -> SearchPlan:
    """Plan a search.

    Raises:
        UserError: The store, the split or the models do not allow it.
    """
    plan = SearchPlan(config, plan_dataset(store, config))
    if plan.config.next_track:
        check_sessions(store, plan.dataset.rule)
    if not plan.candidates:
        raise SearchError(
            f"models: {', '.join(plan.config.models) or 'none'}; at least one that the store "
            "allows, or a file of lists, is needed"
        )
    return plan
