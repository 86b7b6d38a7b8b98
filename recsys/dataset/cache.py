"""Open the dataset of a plan from the store's folder `cache`, or build it there."""

from analysis.store import Store
from looplib.files import atomic_directory, exclusive, remove_leftovers
from looplib.progress import say
from recsys.cluster.cluster import Cluster
from recsys.dataset.build import Report, build_dataset
from recsys.dataset.dataset import Dataset, open_dataset, open_whole_dataset
from recsys.dataset.plan import DatasetPlan
from recsys.errors import SearchError
from recsys.storage import Workspace, open_workspace


def cached_dataset(
    store: Store,
    plan: DatasetPlan,
    run: Workspace,
    cluster: Cluster,
    report: Report,
) -> Dataset:
    """Open the dataset of a plan, or build it with a task for each partition of the store.

    One process of a machine builds datasets of a store at a time. `report` is called with the
    percentage that is done, and a note.

    Raises:
        SearchError: No session is left for training, or for validation.
    """
    cache = open_workspace(store.address).sub("cache")
    dataset = _open_cached(cache, plan.digest)
    how = "cached"
    if dataset is None:
        cache.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(cache.folder.with_name(".cache.lock")):
            # another process may have built it
            dataset = _open_cached(cache, plan.digest)
            if dataset is None:
                remove_leftovers(cache.folder)
                cached = cache.sub(plan.digest)
                with atomic_directory(cached.folder) as folder:
                    build_dataset(store, plan, folder, run, cluster, report)
                cached.upload_all()
                dataset = open_dataset(cached.address)
                how = "built"
    report(100, how)
    return dataset


def _open_cached(cache: Workspace, digest: str) -> Dataset | None:
    """Open a dataset that was built before, or delete it if it is damaged."""
    cached = cache.sub(digest)
    if not cached.download_all():
        return None
    try:
        return open_whole_dataset(cached)
    except SearchError as error:
        damage = str(error).partition(";")[0]
        say(f"{damage}; it is built again")
        cache.delete(digest)
        return None
