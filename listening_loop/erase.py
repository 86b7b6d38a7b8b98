"""`listening-loop erase`: remove a listener from logs, stores, runs, exports and a service.

Stores come first, and get the identities that the logs will have: wherever an erasure is
interrupted, no ingest counts anything twice, and the same command goes on.
"""

import gzip
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer

from looplib.cli import importing, make_app

with importing():
    import numpy as np
    import orjson
    import pyarrow.parquet as pq

    from analysis.logs.field_types import LARGEST_ID
    from analysis.logs.files import LogFile, discover
    from analysis.logs.lines import BYTE_ORDER_MARK, LineCounts
    from analysis.logs.sources import NewFiles, select_lines
    from analysis.store import REJECTS, Source, number_of
    from listening_loop.client import ServiceClient
    from listening_loop.errors import LoopError
    from looplib.checksums import named, unnamed, unseal
    from looplib.files import (
        TEMPORARY_PREFIX,
        atomic_directory,
        atomic_write,
        exclusive,
        remove_leftovers,
    )
    from recsys.dataset.layout import PIECES
    from recsys.export.export import (
        VERSIONS,
        VERSIONS_LOCK,
        current_version,
        point_to,
    )
    from recsys.export.version import (
        BY_COUNT,
        BY_LISTENER,
        MANIFEST,
        RECOMMENDATIONS,
        SCORES,
        write_manifest,
    )
    from recsys.lock import hold_lock
    from recsys.search.folder import read_config
    from recsys.search.scorer import LISTENERS
    from recsys.search.trials import CHECKPOINTS
    from recsys.storage import OBJECTS, Workspace, open_workspace
    from recsys.store.partitions import Partitioner, partition_of
    from recsys.store.reader import download_files, open_store
    from recsys.store.writer import commit, locked

PROG = "listening-loop erase"
REMAINS = (
    "what remains: tables that were ingested, backups, log lines that are no JSON, reports, and "
    "what models have learned of all listeners until the next search and export"
)
IsLeft = Callable[[bytes], bool]
"""Checks whether a line is of another listener."""
Paths = list[str] | None
app = make_app("Remove a listener from what is kept, while no ingest or search runs.")


@app.command(
    epilog=f"Example: {PROG} --user 7 --log out/log --store out/store --run out/run "
    "--export out/export --service http://localhost:5001"
)
def main(
    user: Annotated[str, typer.Option(help="Id of the listener.")],
    log: Annotated[
        Paths, typer.Option(help="Log or folder of logs; name all their stores, too.")
    ] = None,
    store: Annotated[Paths, typer.Option(help="Session store.")] = None,
    run: Annotated[Paths, typer.Option(help="Run of a search.")] = None,
    export: Annotated[Paths, typer.Option(help="Folder of published versions.")] = None,
    service: Annotated[
        str | None,
        typer.Option(help="Its address; BOTIFY_ADMIN_TOKEN has its admin token."),
    ] = None,
) -> None:
    """Erase the listener.

    Raises:
        LoopError: Nothing is named, or a service still writes events of the listener.
    """
    _check_any(log, store, run, export, service)
    is_left = partial(_is_left, user)
    logs = discover(log) if log else []
    for address in store or ():
        typer.echo(erase_from_store(address, user, logs))
    still_open = []
    for file in logs:
        with file.check().open() as text:
            count = sum(not is_left(line) for line in text)
        if count and file.is_open:
            still_open.append(str(file.path))
            continue
        if count:
            erase_from_log(file, is_left)
        typer.echo(f"{file.path}: {count:,} lines removed")
    for address in run or ():
        workspace = open_workspace(address)
        read_config(workspace)  # else it is none
        with hold_lock(workspace, "search"):
            workspace.delete(LISTENERS, CHECKPOINTS, PIECES)
        typer.echo(f"{address}: what single listeners added to scores is deleted")
    for address in export or ():
        for line in erase_from_export(address, user):
            typer.echo(f"{address}: {line}")
    if service:
        client = ServiceClient(service, os.environ.get("BOTIFY_ADMIN_TOKEN"))
        client.ask("DELETE", f"/listeners/{quote(user, safe='')}")
        typer.echo(f"{service}: the session is deleted")
    typer.echo(REMAINS)
    if still_open:
        raise LoopError(
            f"not complete: a service still writes to {', '.join(still_open)}; stop it, "
            "or wait until it has closed what it writes to, and run the same command again"
        )


def _check_any(*addresses: object) -> None:
    if not any(addresses):
        raise LoopError("name what has the listener: --log, --store, --run or another")


def _is_left(user: str, line: bytes) -> bool:
    try:
        document = orjson.loads(line.removeprefix(BYTE_ORDER_MARK))
    except orjson.JSONDecodeError:
        return True
    return not isinstance(document, dict) or str(document.get("user", "")) != user


def erase_from_store(address: str, user: str, logs: Sequence[LogFile]) -> str:
    """Remove a listener's rows and text id, and register the logs as they will be.

    The store's rejected lines and cached datasets are deleted, too.

    Returns:
        What has changed.

    Raises:
        LoopError: The store's ids are numbers, and the listener's is none.
    """
    is_text = open_store(address).manifest.text_users
    if not is_text and not (user.isdecimal() and int(user) <= LARGEST_ID):
        raise LoopError(f"{address}: its listeners have numbers, and {user} is none")
    number = number_of(user) if is_text else int(user)
    workspace = open_workspace(address)
    with (
        locked(workspace) as (lock, store),
        tempfile.TemporaryDirectory("", TEMPORARY_PREFIX, workspace.folder) as folder,
    ):
        scratch, manifest = Path(folder), store.manifest
        partition = partition_of(np.array([number]), manifest.partitions)
        parts = [part for part in manifest.parts if part.partition == partition]
        rows = sum(part.rows for part in parts)
        partitioner = Partitioner(scratch, manifest.partitions)
        left = 0
        filters = [("user", "!=", number)]
        for file in download_files(address, parts):
            table = pq.read_table(file, partitioning=None, filters=filters)
            partitioner.add(table)
            left += len(table)
        read = NewFiles([], scratch, manifest.sources)
        is_left = partial(_is_left, user)
        sources = [source for log in logs for source in read.select(log, is_left)]
        if left == rows and not sources:
            return f"{address}: nothing is of this listener"
        ids = [file for file in manifest.id_files if file.of == "users"]
        texts = scratch / "users.parquet"
        if ids:
            files = download_files(address, ids)
            filters = [("id", "!=", number)]
            remaining = pq.read_table(files, partitioning=None, filters=filters)
            pq.write_table(remaining, texts)
        # other files and datasets than before, even if no log is another one
        mark = Source(f"erased {datetime.now(UTC):%F}", uuid4().hex, 0, LineCounts())
        manifest = replace(
            manifest,
            events=manifest.events - rows,
            sources=(*manifest.sources, *sources, mark),
            parts=tuple(set(manifest.parts).difference(parts)),
            id_files=tuple(set(manifest.id_files).difference(ids)),
        )
        workspace.delete("cache", REJECTS)
        sorted_parts = partitioner.finish({})
        commit(lock, manifest, scratch, sorted_parts, {"users": texts} if ids else {})
        workspace.delete(*(part.path for part in parts), *(file.path for file in ids))
    removed = f"{rows - left:,} rows, rejected lines and cached datasets"
    return f"{address}: removed {removed}"


def erase_from_log(log: LogFile, is_left: IsLeft) -> None:
    """Write a log again with some lines left blank, packed and with a checksum as it was."""
    packed = log.path.suffix if log.is_gzipped else ""
    plain = unnamed(log.path.with_name(log.path.name.removesuffix(packed)))
    target = plain.with_name(plain.name + packed)
    crc = 0
    with log.open() as text, atomic_write(target) as file:
        opened: Any = nullcontext(file)
        if packed:
            opened = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
        with opened as written:
            for line in select_lines(text, sys.maxsize, is_left):
                crc = zlib.crc32(line, crc)
                written.write(line)
    if target != log.path:  # its name had a checksum
        if not packed:
            target.replace(named(target, crc))
        log.path.unlink()


def erase_from_export(address: str, user: str) -> Iterator[str]:
    """Write the versions of an export again without a listener, under other names.

    Yields:
        What has changed.

    Raises:
        LoopError: No version is there.
    """
    out = open_workspace(address)
    versions = out.sub(VERSIONS)
    if not versions.names():
        raise LoopError(f"{address}: no published versions here")
    with exclusive(out.folder / VERSIONS_LOCK):
        remove_leftovers(versions.folder)
        for earlier in sorted(versions.names()):
            version = versions.sub(earlier)
            name = f"{earlier.partition('~')[0]}~{uuid4().hex[:8]}"
            if version.download_all():
                if not _publish_without(user, version, versions.sub(name)):
                    continue
                if current_version(out) == earlier:
                    point_to(out, name)
                version.delete(OBJECTS)  # an interrupted deletion goes on
            versions.delete(earlier)
            yield f"version {name} takes the place of {earlier}"


def _publish_without(user: str, version: Workspace, later: Workspace) -> bool:
    """Publish a version without a listener; False if it has nothing of the listener's."""
    with tempfile.TemporaryDirectory() as scratch:
        target, left = Path(scratch), (MANIFEST, OBJECTS)
        files = [file for file in version.folder.iterdir() if file.name not in left]
        changed = [_copy(file, target / file.name, user) for file in files]
        if any(changed):
            scores = target / SCORES
            if scores.exists():  # a row for each line
                lines = (version.folder / RECOMMENDATIONS).read_bytes().splitlines()
                is_left = [*map(partial(_is_left, user), lines)]
                np.save(scores, np.load(scores)[is_left])
            manifest = (version.folder / MANIFEST).read_bytes()
            write_manifest(target, unseal(manifest))
            with atomic_directory(later.folder) as whole:
                shutil.copytree(target, whole, dirs_exist_ok=True)
            later.upload_all()
    return any(changed)


def _copy(file: Path, target: Path, user: str) -> bool:
    """Copy a file of an export without what is a listener's; True if anything was."""
    if file.suffix == ".jsonl":
        with file.open("rb") as lines, target.open("wb") as written:
            written.writelines(filter(partial(_is_left, user), lines))
    elif file.suffix == ".npz":
        with np.load(file) as loaded:
            arrays = dict(loaded)
        is_left = arrays.get("users", np.empty(0)).astype(str) != user
        if not is_left.all():
            for name in arrays.keys() & BY_COUNT:
                arrays[name] = arrays[name][is_left.repeat(arrays["counts"])]
            for name in arrays.keys() & BY_LISTENER:
                arrays[name] = arrays[name][is_left]
        np.savez(target, allow_pickle=False, **arrays)
        return not is_left.all()
    else:
        shutil.copyfile(file, target)
    return target.stat().st_size != file.stat().st_size
