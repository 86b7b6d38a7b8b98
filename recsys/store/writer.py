"""Writing to a session store: one writer at a time, and a run's parts appear together or not at all.

Parts and rejects get their final names before the manifest names them. Whatever happens in between, the manifest says
what the store holds; what it does not name is removed by the next writer.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from looplib.files import TEMPORARY_PREFIX, fsync_directory, fsync_file, remove_leftovers, sha256_file
from recsys.errors import StoreError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.store.manifest import (
    MANIFEST,
    SCHEMA,
    IdFile,
    Manifest,
    Part,
    content_digest,
    read_manifest,
    stored_files,
    write_manifest,
)
from recsys.workspace import Workspace

DEFAULT_BUCKETS = 16
LARGEST_BUCKETS = 4096
REJECTS = "rejects"
IDS = "ids"
_BUCKET_PREFIX = "bucket="
StoredT = TypeVar("StoredT", Part, IdFile)


@contextmanager
def locked(workspace: Workspace) -> Iterator[Lock]:
    """Makes the block the only writer of a store, whose folder is made if need be, and clears what killed ones left.

    Raises:
        StoreError: The folder is not a store's.
        StorageError: Another writer is at work.
        OSError: The folder cannot be written.
    """
    _refuse_foreign(workspace)
    with hold_lock(workspace, "ingest") as lock:
        _remove_unnamed(workspace, read_manifest(workspace))
        yield lock


def scratch_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder in the store, so on its disk, that is gone when its block ends, or else with the next writer."""
    return tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=path, ignore_cleanup_errors=True)


def manifest_to_extend(workspace: Workspace, buckets: int | None) -> Manifest:
    """The store's manifest, or that of an empty store.

    Args:
        workspace: The store.
        buckets: Their number if wanted; None for what the store has, or the default.

    Raises:
        StoreError: The store has another number of buckets, or its manifest cannot be used.
    """
    manifest = read_manifest(workspace)
    if manifest is None:
        return Manifest(SCHEMA, buckets or DEFAULT_BUCKETS, content_digest(()), None, 0, None, None, (), ())
    if buckets not in (None, manifest.buckets):
        raise StoreError(f"{workspace}: has {manifest.buckets} buckets, not {buckets}; a new number needs a new store")
    return manifest


@dataclass(frozen=True)
class NewFile:
    """A finished file in the scratch folder, and the name it gets in the store."""

    file: Path
    name: str


def part_name(bucket: int, run: str) -> str:
    """Where a run's events of a bucket are."""
    return f"{_BUCKET_PREFIX}{bucket:03}/part-{run}.parquet"


def rejects_name(digest: str) -> str:
    """Where the rejects of a source are."""
    return f"{REJECTS}/{digest}.jsonl"


def ids_name(of: str, run: str) -> str:
    """Where a run's text ids of users or items are."""
    return f"{IDS}/{of}-{run}.parquet"


def commit(lock: Lock, files: Sequence[NewFile], manifest: Manifest) -> None:
    """Move finished files into the store and then replace its manifest, which makes them part of it.

    Raises:
        OSError: The disk is full; the store is as it was.
        StorageError: The server of a store at an address does not answer or refuses; the store is as it was.
    """
    workspace = lock.workspace
    path = workspace.folder
    for new in files:
        fsync_file(new.file)
    folders = {(path / new.name).parent for new in files}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for new in files:
        new.file.replace(path / new.name)
    for folder in (*folders, path):
        fsync_directory(folder)
    digests = {new.name: sha256_file(path / new.name) for new in files}
    workspace.upload(*digests)
    lock.check()
    write_manifest(workspace, _with_digests(manifest, digests))


def _with_digests(manifest: Manifest, digests: Mapping[str, str]) -> Manifest:
    def completed(stored: tuple[StoredT, ...]) -> tuple[StoredT, ...]:
        return tuple(replace(file, sha256=digests.get(file.path, file.sha256)) for file in stored)

    known = manifest.interactions
    if known is not None:
        known = replace(known, id_files=completed(known.id_files))
    return replace(manifest, parts=completed(manifest.parts), interactions=known)


def _refuse_foreign(workspace: Workspace) -> None:
    """Refuse a folder without manifest that holds anything but what a killed first ingest leaves."""
    names = workspace.names()
    for name in sorted(names if MANIFEST not in names else ()):
        if name not in (REJECTS, IDS) and not name.startswith((LOCK, TEMPORARY_PREFIX, _BUCKET_PREFIX)):
            raise StoreError(f"{workspace}: not a session store, it holds {name}; name a new or an empty folder")


def _remove_unnamed(workspace: Workspace, manifest: Manifest | None) -> None:
    remove_leftovers(workspace.folder)
    named = {stored.path for stored in stored_files(manifest)} if manifest else set()
    named |= {rejects_name(source.digest) for source in manifest.sources} if manifest else set()
    ours = (_BUCKET_PREFIX, f"{REJECTS}/", f"{IDS}/")
    workspace.delete(*(name for name in workspace.sizes() if name.startswith(ours) and name not in named))
