"""Refit a run's winner on all sessions and publish what the service loads.

A published version is a folder `versions/<model id>` that is renamed into place whole; `current`
then points to it, in one step. Earlier versions stay for rollback.
"""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from analysis.store import Store
from looplib.files import atomic_directory, atomic_symlink, exclusive, remove_leftovers
from looplib.progress import progress
from recsys.blockwise import fit_blocks
from recsys.cluster.cluster import Client, open_cluster
from recsys.cluster.processes import usable_cores
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.dataset import Dataset, open_whole_dataset
from recsys.dataset.layout import PIECES, SUMMARY
from recsys.dataset.plan import plan_dataset
from recsys.errors import SearchError
from recsys.export.version import Export, write_version
from recsys.models.als import Als
from recsys.models.base import Model, State
from recsys.search.folder import NO_BETTER, read_run, seen_files
from recsys.search.step import fit_trial
from recsys.search.trials import Checkpoint
from recsys.storage import Workspace, open_workspace
from recsys.store.reader import open_store

CURRENT = "current"
VERSIONS = "versions"
VERSIONS_LOCK = ".versions.lock"


def export_run(
    run_address: str | Path,
    out_address: str | Path,
    options: ExportConfig,
    store_address: str | Path | None = None,
    client: Client | None = None,
) -> str:
    """Refit a run's winner, on all sessions unless the options say otherwise, and publish it.

    The store is by default where the search read it; a fit in blocks runs on the workers of the
    Dask client, if given.

    Returns:
        The address of the version, by way of `current`; at s3:// and the like, which have no links,
            its own.

    Raises:
        UserError: The run is not finished, its winner is no better than a baseline, or the
            store is not the one that the search read.
    """
    run = open_workspace(run_address)
    config, winner = read_run(run)
    if (
        not winner.beats_baselines
        and options.learn_from == "all"
        and not options.publish_anyway
    ):
        raise SearchError(
            f"{run}: {NO_BETTER}, so it is not published; more data or a wider search may help, "
            "and --set export.publish_anyway=true publishes it"
        )
    store = open_store(store_address or config.store)
    if plan_dataset(store, config).digest != winner.dataset:
        raise SearchError(
            f"{store}: not the store that {run} was searched on, or it has grown "
            "since; search again"
        )
    cached = open_workspace(store.address).sub(f"cache/{winner.dataset}")
    if not cached.download_all():
        raise SearchError(f"{cached}: the dataset of {run} is gone; search again")
    dataset = open_whole_dataset(cached)
    if options.learn_from == "training":
        if options.split:
            config = config.model_copy(update={"split": options.split})
            dataset = _split_again(run, store, config, client)
        if config.split.kind not in ("newest", "last_session", "time"):
            # held-out sessions lie among those to learn from
            options = options.model_copy(update={"live": False})
    export = Export(run, store, dataset, config, winner, options)

    def write(folder: Path) -> None:
        model = _refit(export, export.fitted, client)
        factors = model.factors
        if factors is None and winner.factors:
            factors = _refit(export, winner.factors, client).factors
        write_version(folder, export, model, factors)

    return publish_version(out_address, export.model_id, write)


def publish_version(
    out_address: str | Path, name: str, write: Callable[[Path], None]
) -> str:
    """Publish a version, unless it is there, and make it the current one.

    Args:
        out_address: Of the published versions.
        name: Of the version.
        write: Writes its files into an empty folder.

    Returns:
        The address of the version, as `export_run` has it.
    """
    out = open_workspace(out_address)
    versions = out.sub(VERSIONS)
    version = versions.sub(name)
    versions.folder.mkdir(parents=True, exist_ok=True)
    # One process of a machine publishes at a time.
    with exclusive(out.folder / VERSIONS_LOCK):
        if not version.download_all():
            remove_leftovers(versions.folder)
            with atomic_directory(version.folder) as folder:
                write(folder)
            version.upload_all()
        return point_to(out, name)


def point_to(out: Workspace, name: str) -> str:
    """Make a version the current one.

    Returns:
        Its address, as `export_run` has it.
    """
    target = f"{VERSIONS}/{name}"
    if not out.is_remote:
        atomic_symlink(out.folder / CURRENT, target)
        return f"{out}/{CURRENT}"
    with out.create(CURRENT) as file:
        file.write(f"{target}\n".encode())
    return f"{out}/{target}"


def current_version(out: Workspace) -> str:
    """Find the name of the current version; "" without one."""
    if not out.is_remote:
        return (out.folder / CURRENT).resolve().name
    target = out.read(CURRENT) or b""
    return target.decode().strip().rpartition("/")[2]


def _split_again(
    run: Workspace, store: Store, config: SearchConfig, client: Client | None
) -> Dataset:
    """Open the dataset of another split than that of the search."""
    plan = plan_dataset(store, config)
    seen = seen_files(store, run)
    with (
        open_cluster(config.cluster, seen, client) as cluster,
        progress("Another split", 100, "%") as report,
    ):
        return cached_dataset(store, plan, run, cluster, report)


def _refit(export: Export, fitted: Checkpoint, client: Client | None) -> Model:
    """Fit a trial again, on all sessions or on the training ones; in blocks as in the search."""
    title = f"Refit on {export.options.learn_from} sessions"
    with progress(title, fitted.iteration, "iterations") as report:
        state = None
        is_als = issubclass(fitted.trial.model_type, Als)
        if is_als and export.config.cluster.fit == "blocks":
            state = _refit_in_blocks(export, fitted, client, report)
        dataset, threads = export.dataset, usable_cores()
        try:
            return fit_trial(fitted, dataset, export.split, threads, state, report)
        except ImportError as error:  # of a class of another package
            raise SearchError(str(error)) from None


def _refit_in_blocks(
    export: Export,
    fitted: Checkpoint,
    client: Client | None,
    report: Callable[[float], None],
) -> State:
    """Fit ALS again across all workers, by a folder in the run; return the state."""
    trial = fitted.trial
    name = f"{PIECES}/{uuid4().hex}"
    scratch = export.run.sub(name)
    scratch.folder.mkdir(parents=True)
    seen = [folder / SUMMARY for folder in export.dataset.workspace.on_disk]
    seen += scratch.on_disk
    modules = (fit_blocks.__module__,)
    try:
        with open_cluster(export.config.cluster, seen, client, modules) as cluster:
            return fit_blocks(
                cluster,
                export.dataset,
                export.split,
                Als(**trial.params).config,
                trial.seed,
                fitted.iteration,
                scratch,
                report,
            )
    finally:
        export.run.delete(name)
