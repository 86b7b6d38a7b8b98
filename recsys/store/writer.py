"""Write to a session store, one writer at a time.

All files of an ingest appear together or not at all: they get their final names before the manifest
names them. The manifest says what the store holds; what it does not name is removed by the next
writer.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from analysis import store
from looplib.checksums import seal
from looplib.files import (
    TEMPORARY_PREFIX,
    atomic_write_json,
    fsync,
    remove_leftovers,
    sha256_file,
)
from recsys.errors import StoreError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.workspace import Workspace

DEFAULT_PARTITIONS = 16
_IDS = "ids"
_PARTITION = "partition="


@dataclass(frozen=True)
class Additions:
    """What an ingest adds to a store."""

    scratch: Path  # a folder with all files, rejected lines by `Source.rejects`
    sources: Sequence[store.Source]
    parts: Mapping[int, Path] = field(default_factory=dict)  # by partition
    # text ids, and titles
    ids: Mapping[store.IdsOf, Path] = field(default_factory=dict)
    # what its tables hold, or its logs with text ids, without id files; None of other logs
    table: store.Interactions | None = None


@contextmanager
def locked(
    workspace: Workspace, partitions: int | None = None
) -> Iterator[tuple[Lock, store.Manifest]]:
    """Make the block the only writer of a store, and clear what killed writers left.

    The store's folder is made if it is missing. The block gets the lock and the store's manifest:
    of a new store, an empty one with the number of partitions, or with `DEFAULT_PARTITIONS`.

    Raises:
        StoreError: The folder is not a store's, the store has another number of partitions, or its
            manifest is damaged.
        StorageError: Another writer is at work.
    """
    names = workspace.names()
    # a killed first ingest leaves no more than these
    for name in sorted(names if store.MANIFEST not in names else ()):
        if name not in (store.REJECTS, _IDS) and not name.startswith(
            (LOCK, TEMPORARY_PREFIX, _PARTITION)
        ):
            raise StoreError(
                f"{workspace}: not a session store, it holds {name}; name a new or an empty folder"
            )
    with hold_lock(workspace, "ingest") as lock:
        remove_leftovers(workspace.folder)
        manifest = _manifest_to_extend(workspace, partitions)
        named = {part.path for part in manifest.parts}
        named |= {file.path for file in manifest.id_files}
        named |= {source.rejects for source in manifest.sources}
        ours = (_PARTITION, f"{store.REJECTS}/", f"{_IDS}/")
        found = {name for name in workspace.files() if name.startswith(ours)}
        workspace.delete(*(found - named))
        yield lock, manifest


def _manifest_to_extend(workspace: Workspace, partitions: int | None) -> store.Manifest:
    content = workspace.read(store.MANIFEST)
    if content is None:
        digest = store.content_digest(())
        return store.Manifest(store.SCHEMA, partitions or DEFAULT_PARTITIONS, digest)
    manifest = store.decode_manifest(content, str(workspace))
    if partitions not in (None, manifest.partitions):
        raise StoreError(
            f"{workspace}: has {manifest.partitions} partitions, not {partitions}; "
            "a new number needs a new store"
        )
    return manifest


def commit(lock: Lock, before: store.Manifest, added: Additions) -> None:
    """Move finished files into the locked store, then replace the manifest, which names them.

    Raises:
        OSError: The disk is full; the store is as it was.
        StorageError: The server of a store at an address does not answer or refuses; the store is
            as it was.
    """
    after, files = _extended(before, added)
    workspace = lock.workspace
    path = lock.workspace.folder
    for name, file in files.items():
        fsync(file)
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        file.replace(path / name)
    for folder in {path, *((path / name).parent for name in files)}:
        fsync(folder)
    workspace.upload(*files)
    lock.check()
    atomic_write_json(path / store.MANIFEST, seal(msgspec.to_builtins(after)))
    workspace.upload(store.MANIFEST)


def _extended(
    before: store.Manifest, added: Additions
) -> tuple[store.Manifest, dict[str, Path]]:
    """Return the manifest with what is added, and the new files by the names they get."""
    sources = sorted(
        (*before.sources, *added.sources), key=lambda source: source.digest
    )
    digest = store.content_digest(source.digest for source in sources)
    ending = f"-{digest[:16]}.parquet"
    parts = [
        store.Part(f"{_PARTITION}{n:03}/part{ending}", n, *_facts(file))
        for n, file in added.parts.items()
    ]
    ids = [
        store.IdFile(f"{_IDS}/{of}{ending}", of, *_facts(file))
        for of, file in added.ids.items()
    ]
    rejected = [source.rejects for source in added.sources if source.lines.rejected]
    files = {name: added.scratch / name for name in rejected}
    files |= {part.path: added.parts[part.partition] for part in parts}
    files |= {file.path: added.ids[file.of] for file in ids}
    table = added.table
    if table:
        table = replace(table, id_files=tuple(sorted((*before.id_files, *ids))))
    is_plays = table is not None and "share" in table.columns
    after = replace(
        before,
        schema=store.SCHEMA,
        digest=digest,
        events=before.events + sum(part.rows for part in parts),
        sources=tuple(sources),
        parts=tuple(sorted((*before.parts, *parts))),
        interactions=None if is_plays else table,
        plays=table if is_plays else None,
    )
    return after, files


def _facts(file: Path) -> tuple[int, int, str]:
    """Return the rows, the bytes and the sha256 of a Parquet file."""
    return pq.read_metadata(file).num_rows, file.stat().st_size, sha256_file(file)
