"""Open a dataset from the store's folder `cache`, by the digest of all that decides it."""

from analysis.store import Store
from looplib.files import (
    atomic_directory,
    exclusive,
    json_digest,
    remove_leftovers,
    sha256_file,
)
from looplib.progress import say
from recsys.cluster.cluster import Cluster
from recsys.config import OPE_TIME, SearchConfig
from recsys.dataset.build import Report, build_dataset
from recsys.dataset.dataset import Dataset, open_dataset, open_whole_dataset
from recsys.dataset.layout import SCHEMA
from recsys.dataset.split import split_rule
from recsys.errors import SearchError
from recsys.storage import Workspace, open_workspace
from recsys.store.ids import read_titles


def dataset_digest(store: Store, config: SearchConfig) -> str:
    """Digest the content of a store and the settings that decide a dataset.

    Raises:
        SearchError: A setting needs events, or the split something that the store lacks.
        StoreError: The catalogue cannot be read, or is of another store.
    """
    rule = split_rule(store, config.split, config.seed)
    select = config.validation.select
    if select.startswith(f"{OPE_TIME}@") and rule.is_weighted:
        raise SearchError(
            f"validation.select: {select} needs event logs, and "
            f"{store} holds interactions"
        )
    # who the artists are: the store's files of titles say so, or a catalogue
    id_files = store.manifest.id_files
    artists = sorted(file.path for file in id_files if file.of == "titles")
    if config.catalogue:
        read_titles(config.catalogue, store)  # refuses what cannot be read
        artists = [sha256_file(config.catalogue)]
    facts = {
        "schema": SCHEMA,
        "store": store.manifest.digest,
        "tracks": store.manifest.catalogue_size,
        "seed": config.seed,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "files": (rule.train, rule.test),
        "artists": artists,
    }
    return json_digest(facts)[:16]


def cached_dataset(
    store: Store,
    config: SearchConfig,
    digest: str,
    run: Workspace,
    cluster: Cluster,
    report: Report,
) -> Dataset:
    """Open the dataset of a digest, or build it with a task for each partition of the store.

    One process of a machine builds datasets of a store at a time. `report` is called with the
    percentage that is done, and a note.

    Raises:
        SearchError: No session is left for training, or for validation.
    """
    cache = open_workspace(store.address).sub("cache")
    dataset = _open_cached(cache, digest)
    how = "cached"
    if dataset is None:
        cache.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(cache.folder.with_name(".cache.lock")):
            # another process may have built it
            dataset = _open_cached(cache, digest)
            if dataset is None:
                remove_leftovers(cache.folder)
                cached = cache.sub(digest)
                with atomic_directory(cached.folder) as folder:
                    build_dataset(store, config, digest, folder, run, cluster, report)
                cached.upload_all()
                dataset = open_dataset(cached.address)
                how = "built"
    report(100, how)
    return dataset


def _open_cached(cache: Workspace, digest: str) -> Dataset | None:
    """Open a dataset that was built before, or delete a damaged one."""
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
