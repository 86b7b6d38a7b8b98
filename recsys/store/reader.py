"""Open a session store, local or remote, and download its files as they are read.

Addresses, such as s3://bucket/folder, are opened by `recsys.storage`.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from analysis.store import (
    MANIFEST,
    Store,
    StoreFile,
    check_files,
    decode_manifest,
)
from recsys.storage import open_workspace


def open_store(address: str | Path) -> Store:
    """Open the store of a path or an address for reading.

    >>> import tempfile
    >>> from recsys.ingest.pipeline import ingest
    >>> from recsys.ingest.presets import preset_query
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "train.txt").write_text("2 17 4")
    ...     query = preset_query("lightgcn", [f"{folder}/train.txt"])
    ...     _ = ingest(query, f"{folder}/store")
    ...     store = open_store(f"{folder}/store")
    >>> store.manifest.columns, store.manifest.events
    (('user', 'item'), 2)

    Raises:
        StoreError: There is no store, or its manifest is damaged or of another version.
        StorageError: The server of a store at an address does not answer or refuses.
    """
    workspace = open_workspace(address)
    manifest = decode_manifest(workspace.read(MANIFEST), str(workspace))
    return Store(str(workspace), workspace.folder, manifest)


def download_files(
    address: str,
    files: Iterable[StoreFile],
) -> list[Path]:
    """Download files of the store at an address, and check their digests.

    Returns:
        Paths on this machine; a store on this machine's disk is read in place.

    Raises:
        StoreError: A file on this machine's disk is damaged.
        StorageError: Its server does not answer or refuses, or a file has another digest.
    """
    workspace = open_workspace(address)
    if workspace.is_remote:  # files are checked when they are downloaded
        return [workspace.cached(file.path, file.sha256) for file in files]
    return check_files(workspace.folder, files)


def partition_files(store: Store) -> Iterator[list[Path]]:
    """Download the files of a store, partition by partition; empty partitions are left out."""
    # parts are sorted by it
    for _, files in groupby(store.manifest.parts, key=lambda part: part.of):
        yield download_files(store.address, files)
