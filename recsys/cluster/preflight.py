"""Whether a worker sees the files and folders of a search: what runs there before each call.

Knows no Dask. A folder that is written to holds a witness, a file with a name that no other folder has; so a folder of
the same name on a disk of the worker's own is told from the one that is meant.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from looplib.files import TEMPORARY_PREFIX
from recsys.errors import UnseenPathError

T = TypeVar("T")


@contextmanager
def witnesses(read: Iterable[Path], written: Iterable[Path]) -> Iterator[tuple[Path, ...]]:
    """The paths that a worker must see: files that are read, and a witness in each folder that is written to.

    Raises:
        OSError: A folder cannot be written to.
    """
    left: list[Path] = []
    try:
        for folder in written:
            handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY_PREFIX}seen-", dir=folder.absolute())
            os.close(handle)
            left.append(Path(name))
        yield (*(file.absolute() for file in read), *left)
    finally:
        for path in left:
            path.unlink(missing_ok=True)


def call_where_seen(paths: Sequence[Path], function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401  whatever it takes
    """Calls a function, on a worker that sees what it needs.

    Raises:
        UnseenPathError: This one does not.
    """
    check_seen(tuple(paths))
    try:
        return function(*arguments)
    except FileNotFoundError as error:
        raise _unseen(error.filename) from None


@lru_cache(maxsize=8)  # once a process: an error is not kept
def check_seen(paths: tuple[Path, ...]) -> None:
    """Looks whether paths are there.

    Raises:
        UnseenPathError: One is not.
    """
    for path in paths:
        if not path.exists():
            raise _unseen(path.parent if path.name.startswith(TEMPORARY_PREFIX) else path)


def _unseen(path: object) -> UnseenPathError:
    return UnseenPathError(
        f"{path}: the worker on {socket.gethostname()} (process {os.getpid()}) does not see it; every worker must see "
        "the folders of a search, under the same paths (docs/clusters.md)"
    )
