"""Write to a session store, which has a single writer at a time.

All files of an ingest appear together or not at all: they get their final names before the manifest
names them. The next writer removes files that the manifest does not name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from analysis.store import (
    MANIFEST,
    REJECTS,
    SCHEMA,
    IdsOf,
    Manifest,
    Store,
    StoreFile,
    content_digest,
    decode_manifest,
)
from looplib.checksums import seal
from looplib.files import (
    TEMPORARY_PREFIX,
    atomic_write_json,
    fsync,
    remove_leftovers,
)
from recsys.errors import StoreError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.storage import Workspace
from recsys.store.partitions import Part, measure

DEFAULT_PARTITIONS = 16
_IDS = "ids"
_PARTITION = "partition="


@contextmanager
def locked(
    workspace: Workspace, partitions: int | None = None
) -> Iterator[tuple[Lock, Store]]:
    """Make the block the only writer of a store, and remove leftovers of killed writers.

    The store's folder is made if it is missing. The block gets the lock and the store, a new one
    with an empty manifest and the number of partitions, or `DEFAULT_PARTITIONS`.

    Raises:
        StoreError: The folder is not a store's, the store has another number of partitions, or its
            manifest is damaged.
        StorageError: Another writer is at work.
    """
    names = workspace.names()
    # a killed first ingest leaves no more than these
    for name in sorted(names if MANIFEST not in names else ()):
        if name not in (REJECTS, _IDS) and not name.startswith(
            (LOCK, TEMPORARY_PREFIX, _PARTITION)
        ):
            raise StoreError(
                f"{workspace}: not a session store, it holds {name}; name a new or an empty folder"
            )
    with hold_lock(workspace, "ingest") as lock:
        remove_leftovers(workspace.folder)
        number = partitions or DEFAULT_PARTITIONS
        manifest = Manifest(SCHEMA, number, content_digest(()))
        if (content := workspace.read(MANIFEST)) is not None:
            manifest = decode_manifest(content, str(workspace))
        if partitions not in (None, manifest.partitions):
            raise StoreError(
                f"{workspace}: has {manifest.partitions} partitions, not {partitions}; "
                "a new number needs a new store"
            )
        named = {part.path for part in manifest.parts}
        named |= {file.path for file in manifest.id_files}
        named |= {source.rejects for source in manifest.sources}
        folders = (_PARTITION, f"{REJECTS}/", f"{_IDS}/")
        files = {name for name in workspace.files() if name.startswith(folders)}
        workspace.delete(*(files - named))
        yield lock, Store(str(workspace), workspace.folder, manifest)


def commit(
    lock: Lock,
    manifest: Manifest,
    scratch: Path,
    parts: Mapping[int, Part],
    ids: Mapping[IdsOf, Path],
) -> Store:
    """Move finished files into the locked store, then replace the manifest, which names them.

    Args:
        lock: The store's.
        manifest: The store's, with the new sources, but without the new files.
        scratch: A folder with the rejected lines of the new sources, by `Source.rejects`.
        parts: New sorted rows by partition.
        ids: New text ids, and titles.

    Raises:
        OSError: The disk is full; the store is as it was.
        StorageError: The server of a store at an address does not answer or refuses; the store is
            as it was.
    """
    digest = content_digest(source.digest for source in manifest.sources)
    ending = f"-{digest[:16]}.parquet"
    new_parts = {
        StoreFile(f"{_PARTITION}{n:03}/part{ending}", n, *part[1:]): part.path
        for n, part in parts.items()
    }
    new_ids = {
        StoreFile(f"{_IDS}/{of}{ending}", of, *measure(file)[1:]): file
        for of, file in ids.items()
    }
    rejected = scratch.glob(f"{REJECTS}/*")
    files = {f"{REJECTS}/{file.name}": file for file in rejected}
    files |= {new.path: file for new, file in (new_parts | new_ids).items()}
    manifest = replace(
        manifest,
        digest=digest,
        events=manifest.events + sum(part.rows for part in new_parts),
        sources=tuple(sorted(manifest.sources, key=lambda source: source.digest)),
        parts=tuple(sorted((*manifest.parts, *new_parts))),
        id_files=tuple(sorted((*manifest.id_files, *new_ids))),
    )
    workspace = lock.workspace
    path = workspace.folder
    for name, file in files.items():
        fsync(file)
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        file.replace(path / name)
    for folder in {path, *((path / name).parent for name in files)}:
        fsync(folder)
    workspace.upload(*files)
    lock.check()
    atomic_write_json(path / MANIFEST, seal(msgspec.to_builtins(manifest)))
    workspace.upload(MANIFEST)
    return Store(str(workspace), path, manifest)
