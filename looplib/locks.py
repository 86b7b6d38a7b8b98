"""Locks between processes of one machine: a lock ends with its block, or with its process however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder.

    Args:
        handle: Its file descriptor; closing it releases the lock.
        wait: Wait until the lock is free.

    Returns:
        Whether this process holds the lock now; always true with `wait`.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, refusal: Exception | None = None) -> Iterator[None]:
    """Hold the lock of a folder, or of a file that is made if it is missing.

    Args:
        path: The folder or file.
        refusal: Raised where another process holds the lock; None to wait for it.

    Raises:
        OSError: The file cannot be made or opened.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        if not lock(handle, wait=refusal is None) and refusal is not None:
            raise refusal
        yield
    finally:
        os.close(handle)
