"""Check scheduler and workers: the same software, and folders that every worker sees. Imports no Dask."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from looplib.files import TEMPORARY_PREFIX
from recsys.errors import UnseenPathError

T = TypeVar("T")
PACKAGE = "listening-loop"
_COMPARED = ("python", "dask", "distributed", PACKAGE)


def find_difference(versions: Mapping[str, Any]) -> str | None:
    """Describe the first difference of software that matters: calls travel pickled, so all sides need the same code.

    Takes what `distributed.Client.get_versions` returns, asked for `PACKAGE` too. Returns None without a difference.
    """
    ours = _shown_versions(versions["client"])
    others = {"the scheduler": versions["scheduler"]}
    others |= {f"the worker {address}": found for address, found in versions["workers"].items()}
    for process, found in others.items():
        for here, there in zip(ours, _shown_versions(found), strict=True):
            if here != there:
                return f"{process} has {there}, and the search {here}"
    return None


def _shown_versions(process: Mapping[str, Any]) -> list[str]:
    """Name and version of each compared package; of Python major and minor alone."""
    versions = {name: process["packages"].get(name) for name in _COMPARED}
    versions["python"] = ".".join(str(versions["python"]).split(".")[:2])
    return [f"no {name}" if version is None else f"{name} {version}" for name, version in versions.items()]


@contextmanager
def probe_files(read: Iterable[Path], written: Iterable[Path]) -> Iterator[tuple[Path, ...]]:
    """Give the paths that every worker must see: the files that are read, and a new file in each written folder.

    The new file's name is unique, so a folder of the same path on a worker's own disk is not mistaken for the search's.

    Raises:
        OSError: A folder cannot be written to.
    """
    probes: list[Path] = []
    try:
        for folder in written:
            handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY_PREFIX}seen-", dir=folder.absolute())
            os.close(handle)
            probes.append(Path(name))
        yield (*(file.absolute() for file in read), *probes)
    finally:
        for path in probes:
            path.unlink(missing_ok=True)


def call_after_check(paths: Sequence[Path], function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401  any function's
    """Call a function on a worker that sees the paths.

    Raises:
        UnseenPathError: This worker misses one of them, or a file that the function opens.
    """
    _check_visible(tuple(paths))
    try:
        return function(*arguments)
    except FileNotFoundError as error:
        raise _unseen(error.filename) from None


@lru_cache(maxsize=8)  # looks once a process; errors are not cached
def _check_visible(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if not path.exists():
            raise _unseen(path.parent if path.name.startswith(TEMPORARY_PREFIX) else path)


def _unseen(path: object) -> UnseenPathError:
    return UnseenPathError(
        f"{path}: the worker on {socket.gethostname()} (process {os.getpid()}) does not see it; every worker must see "
        "the folders of a search, under the same paths (docs/clusters.md)"
    )
