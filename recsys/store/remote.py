"""Open a session store at a path or an address; its parts are downloaded as they are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis import store as local
from analysis.store import (
    MANIFEST,
    IdFile,
    Part,
    check_digests,
    decode_manifest,
)
from recsys.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class Store(local.Store):
    """A session store and where it is; every method that returns files may raise `StorageError`."""

    workspace: Workspace

    def files(self, stored: Iterable[Part | IdFile]) -> list[Path]:
        """Return files that the manifest names, downloaded and their digests checked."""
        return download_stored(self.workspace, stored)


def open_store(address: str | Path) -> Store:
    """Open the store of a path or an address for reading.

    Raises:
        StoreError: There is no store, or its manifest is damaged or of another version.
        StorageError: The server of a store at an address does not answer or refuses.
    """
    workspace = open_workspace(address)
    manifest = decode_manifest(workspace.read(MANIFEST), str(workspace))
    return Store(workspace.folder, manifest, workspace)


def download_stored(workspace: Workspace, files: Iterable[Part | IdFile]) -> list[Path]:
    """Download files of a store that is at an address, and check their digests.

    Raises:
        StoreError: A file on this machine's disk is damaged.
        StorageError: Its server does not answer or refuses, or a file has another digest.
    """
    stored = {workspace.cached(file.path, file.sha256): file for file in files}
    if workspace.is_remote:  # checked when it came
        return list(stored)
    return check_digests(stored)
