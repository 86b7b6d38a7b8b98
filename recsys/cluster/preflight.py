"""Check that scheduler and workers have the same software and see the same folders."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import Client

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
    for address, worker in versions["workers"].items():
        processes[f"the worker {address}"] = worker
    for process, software in processes.items():
        for name in _COMPARED:
            version = software["packages"].get(name)
            if version != ours[name]:
                raise SearchError(
                    f"{process} has {name} {version}, and the search {name} {ours[name]}; "
                    "install the same everywhere (docs/clusters.md)"
                )


def check_folders(client: Client, seen: Sequence[Path]) -> None:
    """Check that every worker sees the same files and folders as this process.

    Raises:
        SearchError: A worker misses one.
    """
    paths = [path.absolute() for path in seen]
    # a worker that dies meanwhile sees none
    unseen: Any = client.run(find_unseen, paths, on_error="ignore")
    for problem in filter(None, unseen.values()):
        raise SearchError(f"{problem}; {EVERY_WORKER}")


def find_unseen(paths: Sequence[Path]) -> str | None:
    """Describe a path that this worker does not see; None if it sees all."""
    for path in paths:
        if not path.exists():
            worker = f"the worker on {socket.gethostname()} (process {os.getpid()})"
            return f"{path}: {worker} does not see it"
    return None
