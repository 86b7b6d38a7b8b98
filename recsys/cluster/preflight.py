"""Check that scheduler and workers have the same software and see the same folders."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from looplib.files import TEMPORARY_PREFIX
from recsys.errors import UnseenPathError

T = TypeVar("T")
PACKAGE = "listening-loop"
_COMPARED = ("python", "dask", "distributed", PACKAGE)


def find_difference(versions: Mapping[str, Any]) -> str | None:
    """Describe the first difference of software: calls travel pickled, so all need the same code.

    Takes what `distributed.Client.get_versions` returns, asked for `PACKAGE` too.
    """
    ours = _shown_versions(versions["client"])
    workers = {
        f"the worker {address}": found for address, found in versions["workers"].items()
    }
    for process, found in {"the scheduler": versions["scheduler"], **workers}.items():
        for here, there in zip(ours, _shown_versions(found), strict=True):
            if here != there:
                return f"{process} has {there}, and the search {here}"
    return None


def _shown_versions(process: Mapping[str, Any]) -> list[str]:
    versions = {name: process["packages"].get(name) for name in _COMPARED}
    versions["python"] = ".".join(str(versions["python"]).split(".")[:2])
    return [
        f"no {name}" if version is None else f"{name} {version}"
        for name, version in versions.items()
    ]


@contextmanager
def probe_files(
    read: Iterable[Path], written: Iterable[Path]
) -> Iterator[tuple[Path, ...]]:
    """Give the paths that every worker must see.

    They are the files that are read, and a new folder in each that is written.
    Its name is unique, so a folder of the same path on a worker's own disk is not mistaken for the
    search's.
    """
    with ExitStack() as stack:
        prefix, found = f"{TEMPORARY_PREFIX}seen-", [file.absolute() for file in read]
        for path in written:
            made = tempfile.TemporaryDirectory(
                prefix=prefix, dir=path.absolute(), ignore_cleanup_errors=True
            )
            found.append(Path(stack.enter_context(made)))
        yield tuple(found)


def call_after_check(
    paths: Sequence[Path],
    function: Callable[..., T],
    *arguments: Any,  # noqa: ANN401  any function's
) -> T:
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
            raise _unseen(
                path.parent if path.name.startswith(TEMPORARY_PREFIX) else path
            )


def _unseen(path: object) -> UnseenPathError:
    return UnseenPathError(
        f"{path}: the worker on {socket.gethostname()} (process {os.getpid()}) does not see it; "
        "every worker must see the folders of a search, under the same paths (docs/clusters.md)"
    )
