"""Writing to a session store: one writer at a time, and a run's parts appear together or not at all.

Parts and rejects get their final names before the manifest names them. Whatever happens in between, the manifest says
what the store holds; what it does not name is removed by the next writer.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from looplib.files import TEMPORARY_PREFIX, fsync_directory, fsync_file, remove_leftovers, sha256_file
from recsys import storage
from recsys.errors import StoreError
from recsys.mirror import give
from recsys.places import Mirrored
from recsys.remote_lock import remote_lock
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

DEFAULT_BUCKETS = 16
LARGEST_BUCKETS = 4096
LOCK = ".lock"
REJECTS = "rejects"
IDS = "ids"
_BUCKET_PREFIX = "bucket="
StoredT = TypeVar("StoredT", Part, IdFile)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes the block the only writer of a store, whose folder is made if need be, and clears what killed ones left.

    Raises:
        StoreError: Another writer is at work, or the folder is not a store's.
        OSError: The folder cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: a file; a session store is a folder")
    path.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(path, _names(path))
    handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{path}: another ingest is writing to this store; wait until it is done") from None
        with remote_lock(path, "ingest"):
            _remove_unnamed(path, read_manifest(path))
            yield
    finally:
        os.close(handle)


def scratch_folder(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder in the store, so on its disk, that is gone when its block ends, or else with the next writer."""
    return tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=path, ignore_cleanup_errors=True)


def manifest_to_extend(path: Path, buckets: int | None) -> Manifest:
    """The store's manifest, or that of an empty store.

    Args:
        path: The store.
        buckets: Their number if wanted; None for what the store has, or the default.

    Raises:
        StoreError: The store has another number of buckets, or its manifest cannot be used.
    """
    manifest = read_manifest(path)
    if manifest is None:
        return Manifest(SCHEMA, buckets or DEFAULT_BUCKETS, content_digest(()), None, 0, None, None, (), ())
    if buckets not in (None, manifest.buckets):
        raise StoreError(f"{path}: has {manifest.buckets} buckets, not {buckets}; a new number needs a new store")
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


def commit(path: Path, files: Sequence[NewFile], manifest: Manifest) -> None:
    """Moves finished files into the store and then replaces its manifest, which makes them part of it.

    Raises:
        OSError: The disk is full; the store is as it was.
        StorageError: The server of a store at an address does not answer or refuses; likewise.
    """
    for new in files:
        fsync_file(new.file)
    folders = {(path / new.name).parent for new in files}
    for folder in folders:
        folder.mkdir(exist_ok=True)
    for new in files:
        new.file.replace(path / new.name)
    for folder in (*folders, path):
        fsync_directory(folder)
    if isinstance(path, Mirrored):
        manifest = _give(path, files, manifest)
    write_manifest(path, manifest)


def _give(path: Path, files: Sequence[NewFile], manifest: Manifest) -> Manifest:
    """Puts new files to the store's address; the manifest with their digests."""
    digests = {new.name: sha256_file(path / new.name) for new in files}
    for name, digest in digests.items():
        give(path / name, digest)

    def with_digests(stored: tuple[StoredT, ...]) -> tuple[StoredT, ...]:
        return tuple(replace(each, sha256=digests.get(each.path, each.sha256)) for each in stored)

    known = manifest.interactions
    if known is not None:
        known = replace(known, id_files=with_digests(known.id_files))
    return replace(manifest, parts=with_digests(manifest.parts), interactions=known)


def _names(path: Path) -> set[str]:
    """What a store's folder holds, on its first level."""
    if isinstance(path, Mirrored):
        return {name.partition("/")[0] for name in storage.sizes(path.url)}
    return {entry.name for entry in path.iterdir()}


def _refuse_foreign(path: Path, names: set[str]) -> None:
    """A folder without a manifest that holds anything but what a killed first ingest leaves is somebody else's."""
    if MANIFEST in names:
        return
    for name in sorted(names):
        if name not in (REJECTS, IDS) and not name.startswith((LOCK, TEMPORARY_PREFIX, _BUCKET_PREFIX)):
            raise StoreError(f"{path}: not a session store, it holds {name}; name a new or an empty folder")


def _remove_unnamed(path: Path, manifest: Manifest | None) -> None:
    remove_leftovers(path)
    named = {stored.path for stored in stored_files(manifest)} if manifest else set()
    named |= {rejects_name(source.digest) for source in manifest.sources} if manifest else set()
    if isinstance(path, Mirrored):
        for name in storage.sizes(path.url):
            if name.startswith((_BUCKET_PREFIX, f"{REJECTS}/", f"{IDS}/")) and name not in named:
                storage.remove(f"{path.url}/{name}")
    for file in (*path.glob(f"{_BUCKET_PREFIX}*/*"), *path.glob(f"{REJECTS}/*"), *path.glob(f"{IDS}/*")):
        if file.relative_to(path).as_posix() not in named:
            file.unlink()
