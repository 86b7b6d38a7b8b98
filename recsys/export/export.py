"""Refit a run's winner on all sessions and publish a version, which the service loads.

A published version is a folder `versions/<model id>` that is renamed into place whole; `current`
then points to it, atomically. Earlier versions stay for rollback.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from looplib.files import atomic_directory, atomic_symlink, exclusive, remove_leftovers
from looplib.progress import progress
from recsys.cluster.cluster import Client, Cluster, Job
from recsys.cluster.processes import is_small
from recsys.config import SearchConfig
from recsys.dataset.dataset import open_whole_dataset
from recsys.dataset.interactions import warn_without_categories
from recsys.dataset.layout import PIECES, SUMMARY
from recsys.errors import SearchError
from recsys.export.plan import Export, assemble, plan_model, refit, write_ids
from recsys.live.export import plan_live
from recsys.models.external import CLASS, CODE, External
from recsys.models.libraries import check_code, pickle_class
from recsys.models.trial import Checkpoint
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
        client: Dask client whose workers fit and rank.

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
    cache = open_workspace(address).sub(f"cache/{winner.dataset}")
    dataset = open_whole_dataset(cache)
    # held-out sessions of other kinds lie among the sessions to learn from
    is_cut = config.split.kind in ("newest", "last_session", "time")
    if options.learn_from == "training" and not is_cut:
        options = options.model_copy(update={"live": False})
        config = config.model_copy(update={"export": options})
    warn_without_categories(options.rerank, dataset)
    name = f"{PIECES}/{uuid4().hex}"
    stored = open_workspace(address).address
    export = Export(stored, run.sub(name).address, config, winner)
    return publish_version(
        out_address,
        export.model_id,
        lambda folder: _write(folder, export, run, name, client),
    )


def publish_version(
    out_address: str | Path, name: str, write: Callable[[Path], None]
) -> str:
    """Publish a version, unless it is there, and make it current.

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
    # processes of a machine publish in turn
    with exclusive(out.folder / VERSIONS_LOCK):
        if not version.download_all():
            remove_leftovers(versions.folder)
            with atomic_directory(version.folder) as folder:
                write(folder)
            version.upload_all()
        return point_to(out, name)


def point_to(out: Workspace, name: str) -> str:
    """Make a version current.

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


def _write(
    folder: Path, export: Export, run: Workspace, name: str, client: Client | None
) -> None:
    """Write the files of a version, which workers make in a folder of the run.

    Args:
        folder: Folder of the version.
        export: The run that is published.
        run: The run.
        name: Name of the scratch folder in the run.
        client: Dask client whose workers are used.
    """
    scratch = export.workspace
    scratch.folder.mkdir(parents=True)
    winner = export.winner
    fits = dict.fromkeys(filter(None, (winner.fitted, winner.factors)))
    seen = [path / SUMMARY for path in export.dataset.workspace.on_disk]
    seen += scratch.on_disk
    cluster = Cluster(
        export.config.cluster,
        seen,
        client,
        (refit.__module__, "recsys.models.kernels.ranking"),
        is_here=is_small(export.config.cluster, export.dataset.summary.events),
    )
    try:
        write_ids(export)
        with cluster, progress("Publish", 0, "calls") as report:
            jobs: list[Job[Any]] = [
                Job(
                    f"{fitted.trial.kind} {fitted.trial.id}",
                    plan_model(export, cluster, fitted, _ship(fitted)),
                    resources=fitted.resources,
                )
                for fitted in fits
            ]
            if export.options.live:
                jobs.append(Job("live", plan_live(export)))

            def ready() -> list[Job[Any]]:
                return [job for job in jobs if not job.is_ended]

            for done, job in enumerate(cluster.run_jobs(ready), start=1):
                if job.is_ended:
                    job.result()
                report(done, job.key, done + sum(job.left for job in jobs))
            live = jobs[-1].result() if export.options.live else None
            list(cluster.run(assemble, [(export, live)]))
            cluster.say_use()
        export.version.download(*export.version.names())
        for file in export.version.folder.iterdir():
            shutil.move(file, folder / file.name)
    finally:
        run.delete(name)


def _ship(fitted: Checkpoint) -> bytes | None:
    """Pickle the class of a model that workers cannot import, if its code is still the same.

    Raises:
        SearchError: The class cannot be imported here, or its code has changed.
    """
    params = fitted.trial.params
    if not issubclass(fitted.trial.model_type, External):
        return None
    try:
        shipped = pickle_class(params[CLASS])
        if shipped and (code := params.get(CODE)):
            check_code(params[CLASS], code)
    except ImportError as error:
        raise SearchError(str(error)) from None
    return shipped
