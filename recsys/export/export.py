"""Refit a run's winner on all sessions and publish a version, which the service loads.

A published version is a folder `versions/<model id>` that is renamed into place whole; `current`
then points to it, in one step. Earlier versions stay for rollback.
"""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from looplib.files import atomic_directory, atomic_symlink, exclusive, remove_leftovers
from looplib.progress import progress
from recsys.blockwise import fit_blocks
from recsys.cluster.cluster import Client, Cluster
from recsys.cluster.processes import usable_cores
from recsys.config import SearchConfig
from recsys.dataset.dataset import open_whole_dataset
from recsys.dataset.layout import PIECES, SUMMARY
from recsys.errors import SearchError
from recsys.export.version import Export, write_version
from recsys.models.base import Model, State
from recsys.models.trial import Checkpoint, fit_trial
from recsys.run import NO_BETTER, Winner
from recsys.storage import Workspace, open_workspace
from recsys.store.reader import open_store

CURRENT = "current"
VERSIONS = "versions"
VERSIONS_LOCK = ".versions.lock"


def export_run(
    run: Workspace,
    config: SearchConfig,
    winner: Winner,
    out_address: str | Path,
    store_address: str | Path | None = None,
    client: Client | None = None,
) -> str:
    """Refit a run's winner, on all sessions unless the options say otherwise, and publish it.

    Args:
        run: The run, whose configuration and winner `recsys.run.read_run` reads.
        config: Its configuration, with the options of the export.
        winner: Its winner.
        out_address: Address of the published versions.
        store_address: Address of the store; by default the address that the search read.
        client: Dask client on whose workers a fit in blocks runs.

    Returns:
        The address of the version by way of `current`, or its own address at s3:// and other
            storage without links.

    Raises:
        UserError: The run is not finished, its winner is no better than a baseline, or the store
            is not the store of the search.
    """
    options = config.export
    if (
        not winner.beats_baselines
        and options.learn_from == "all"
        and not options.publish_anyway
    ):
        raise SearchError(
            f"{run}: {NO_BETTER}, so it is not published; more data or a wider search may help, "
            "and --set export.publish_anyway=true publishes it"
        )
    address = store_address or config.store
    store = open_store(address)
    if store.manifest.digest != winner.store:
        raise SearchError(
            f"{store}: not the store that {run} was searched on, or it has grown "
            "since; search again"
        )
    dataset = open_whole_dataset(open_workspace(address).sub(f"cache/{winner.dataset}"))
    # held-out sessions of other kinds lie among the sessions to learn from
    is_cut = config.split.kind in ("newest", "last_session", "time")
    if options.learn_from == "training" and not is_cut:
        options = options.model_copy(update={"live": False})
        config = config.model_copy(update={"export": options})
    export = Export(run, store, dataset, config, winner)

    def write(folder: Path) -> None:
        model = _refit(export, winner.fitted, client)
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
        out_address: Address of the published versions.
        name: Name of the version.
        write: Writes its files into an empty folder.

    Returns:
        The address of the version, as `export_run` has it.
    """
    out = open_workspace(out_address)
    versions = out.sub(VERSIONS)
    version = versions.sub(name)
    versions.folder.mkdir(parents=True, exist_ok=True)
    # only one process of a machine publishes at a time
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


def _refit(export: Export, fitted: Checkpoint, client: Client | None) -> Model:
    """Fit a trial again, on all sessions or the training sessions; in blocks as in the search."""
    trial = fitted.trial
    title = f"Refit of {trial.kind} on {export.split} sessions"
    work = (fitted.iteration, "iterations") if fitted.iteration else (1, "fits")
    with progress(title, *work) as report:
        state = None
        if trial.model_type.in_blocks and export.config.cluster.fit == "blocks":
            state = _refit_in_blocks(export, fitted, client, report)
        dataset, threads = export.dataset, usable_cores()
        try:
            model = fit_trial(fitted, dataset, export.split, threads, state, report)
        except ImportError as error:  # the class is of another package
            raise SearchError(str(error)) from None
        report(work[0])
        return model


def _refit_in_blocks(
    export: Export,
    fitted: Checkpoint,
    client: Client | None,
    report: Callable[[float], None],
) -> State:
    """Fit a trial again across all workers, with files in the run; return the state."""
    name = f"{PIECES}/{uuid4().hex}"
    scratch = export.run.sub(name)
    scratch.folder.mkdir(parents=True)
    seen = [folder / SUMMARY for folder in export.dataset.workspace.on_disk]
    seen += scratch.on_disk
    modules = (fit_blocks.__module__,)
    try:
        with Cluster(export.config.cluster, seen, client, modules) as cluster:
            return fit_blocks(
                cluster,
                export.dataset,
                export.split,
                fitted.trial.config,
                fitted.trial.seed,
                fitted.iteration,
                scratch,
                report,
            )
    finally:
        export.run.delete(name)
