"""Calls that only some operating systems have, each with a portable fallback.

In: nothing, or an open file. Out: the number of usable cores, space on the disk, a limit that was
raised. No other module names a call that Linux has and macOS has not.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from looplib.errors import UserError

_BLOCK = 2**20  # bytes
# Folders of this project that distributions of these names have, too.
_NAMES = ("analysis", "botify", "recsys", "sim")


def usable_cores() -> int:
    """Count the cores that this process may run on.

    >>> 1 <= usable_cores() <= os.cpu_count()
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def reserve_space(handle: int, size: int) -> None:
    """Reserve bytes on the disk for an open file of that size, which keeps its content.

    macOS has no such call; the bytes are read and written again there.

    Raises:
        OSError: The disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    for start in range(0, size, _BLOCK):
        os.pwrite(handle, os.pread(handle, _BLOCK, start), start)


def raise_file_limit() -> None:
    """Raise the number of files that this process may open, as far as the system allows."""
    import resource  # Windows has none

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # macOS reports no limit, and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def return_memory() -> None:
    """Return memory that is free to the system, if the C library has a call for it."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def check_names(folder: Path = Path(__file__).parents[1]) -> None:
    """Refuse an installation that another distribution has overwritten.

    Args:
        folder: The folder into which this project was installed.

    Raises:
        UserError: Another distribution has a folder with the name of a folder of this project.
    """
    for info in folder.glob("*-*.dist-info"):
        name, _, _ = info.name.partition("-")
        if name in _NAMES:
            raise UserError(
                f"{info.name.removesuffix('.dist-info')} is installed beside listening-loop, "
                f"and both have a folder {name}; install each in an environment of its own"
            )
