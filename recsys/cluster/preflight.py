"""Check that scheduler and workers have the same software and see the same folders."""

import os
import socket
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from distributed import Client

from looplib.files import TEMPORARY_PREFIX
from recsys.errors import SearchError

_PACKAGE = "listening-loop"
_COMPARED = ("dask", "distributed", _PACKAGE)
EVERY_WORKER = (
    "every worker must see the folders of a search, "
    "under the same paths (docs/clusters.md)"
)


def check_software(client: Client) -> None:
    """Compare the software of all processes: calls travel pickled, so all need the same code.

    Dask itself warns of another Python.

    Raises:
        SearchError: A process has another version than this one.
    """
    # a coroutine to asynchronous clients alone
    versions: Any = client.get_versions(packages=[_PACKAGE])
    ours = versions["client"]["packages"]
    processes = {"the scheduler": versions["scheduler"]}
    for address, found in versions["workers"].items():
        processes[f"the worker {address}"] = found
    for process, found in processes.items():
        for name in _COMPARED:
            version = found["packages"].get(name)
            if version != ours[name]:
                raise SearchError(
                    f"{process} has {name} {version}, and the search {name} {ours[name]}; "
                    "install the same everywhere (docs/clusters.md)"
                )


def check_folders(
    client: Client, read: Iterable[Path], written: Iterable[Path]
) -> None:
    """Check that every worker sees the files that are read and the folders that are written.

    Each of these gets a new folder for a moment, so that a folder of the same path on a worker's
    own disk is not mistaken for the search's.

    Raises:
        SearchError: A worker misses one.
    """
    paths = [file.absolute() for file in read]
    prefix = f"{TEMPORARY_PREFIX}seen-"
    with ExitStack() as stack:
        for folder in written:
            made = tempfile.TemporaryDirectory(
                prefix=prefix, dir=folder.absolute(), ignore_cleanup_errors=True
            )
            paths.append(Path(stack.enter_context(made)))
        # a worker that dies meanwhile sees none
        unseen: Any = client.run(find_unseen, paths, on_error="ignore")
        for found in filter(None, unseen.values()):
            raise SearchError(f"{found}; {EVERY_WORKER}")


def find_unseen(paths: Sequence[Path]) -> str | None:
    """Return which of the paths this worker does not see; None if it sees all."""
    for path in paths:
        if not path.exists():
            is_probe = path.name.startswith(TEMPORARY_PREFIX)
            missing = path.parent if is_probe else path
            worker = f"the worker on {socket.gethostname()} (process {os.getpid()})"
            return f"{missing}: {worker} does not see it"
    return None
