"""Run what a configuration describes: its dataset, and its search."""

from recsys.config import SearchConfig
from recsys.dataset.build import Report
from recsys.dataset.cache import cached_dataset
from recsys.dataset.dataset import Dataset
from recsys.dataset.plan import plan_dataset
from recsys.run import Winner
from recsys.search.search import search
from recsys.storage import open_workspace
from recsys.store.reader import open_store
from tests.recsys.in_process import in_process


def dataset_of(
    config: SearchConfig, report: Report = lambda _done, _note: None
) -> Dataset:
    """Build the dataset of a search in this process."""
    store = open_store(config.store)
    return cached_dataset(
        store,
        plan_dataset(store, config),
        open_workspace(config.run),
        in_process(),
        report,
    )


def search_of(config: SearchConfig) -> Winner:
    """Search the store that the configuration names, into the run that it names."""
    return search(open_store(config.store), open_workspace(config.run), config)
