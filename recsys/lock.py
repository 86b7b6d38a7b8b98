"""Hold the lock of a workspace: only one process writes to a store or run at a time.

At a path it is the kernel's lock of a file, which ends with its process; the file is touched as a
sign of life. At an address it is the object `.lock`, made only if there is none, that names the
holder in its first line and is written again as a sign of life. It is taken over from a process
that has been silent for `EXPIRY_S`, by the clocks of the server and of this machine; should that
process live after all, its next `check` fails, and it writes no more. The check of the first
process fails, too, if a file system other than S3's lets a second process make the object again.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from looplib.files import exclusive
from recsys.errors import StorageError
from recsys.storage import Workspace, open_files

LOCK = ".lock"
SIGN_S = 15.0
EXPIRY_S = 90.0


@dataclass(frozen=True)
class Lock:
    """A lock that is held; `hold_lock` makes it."""

    workspace: Workspace
    # this process in the lock's text; None at a path, where nobody can take over
    holder: bytes | None

    def check(self) -> None:
        """Refuse to go on where another process has taken over."""
        if self.holder and (holder := self.workspace.read(LOCK)) != self.holder:
            event = "its lock was removed"
            if holder is not None:
                event = f"{_name(holder)} took over"
            raise StorageError(
                f"{self.workspace}: {event} while this process was silent; it writes no more"
            )


@contextmanager
def hold_lock(workspace: Workspace, what: str) -> Iterator[Lock]:
    """Make the block, such as a "search", the only writer of a workspace.

    Raises:
        StorageError: Another process holds the lock, or the server does not answer.
    """
    workspace.folder.mkdir(parents=True, exist_ok=True)
    busy = f"{workspace}: another {what} is at work here"
    if not workspace.is_remote:
        file = workspace.folder / LOCK
        refusal = StorageError(f"{busy}; wait until it is done, or name another folder")
        with exclusive(file, refusal), _signs_of_life(lambda: os.utime(file)):
            yield Lock(workspace, None)
        return
    name = f"process {os.getpid()} on {socket.gethostname()}"
    holder = f"{name}\n{uuid4().hex}".encode()

    def renew() -> None:
        if workspace.read(LOCK) == holder:
            _put(workspace, holder)

    _acquire(workspace, holder, busy)
    try:
        with _signs_of_life(renew):
            yield Lock(workspace, holder)
    finally:
        with suppress(StorageError):
            if workspace.read(LOCK) == holder:
                workspace.delete(LOCK)


def _acquire(workspace: Workspace, holder: bytes, busy: str) -> None:
    with suppress(FileExistsError):
        _put(workspace, holder, mode="create")
        return
    other = workspace.read(LOCK)
    silent_s = math.inf  # the lock was released just now
    with suppress(FileNotFoundError), open_files(workspace.address, LOCK) as files:
        silent_s = time.time() - files.modified(LOCK).timestamp()
    if other is not None and silent_s < EXPIRY_S:
        raise StorageError(
            f"{busy} ({_name(other)}, last heard from {silent_s:.0f} s ago); "
            "wait until it is done, "
            f"or, if it is dead, until it has been silent for {EXPIRY_S:.0f} s"
        )
    # should two come here at once, the last to write holds it, and the other's check fails
    _put(workspace, holder)


@contextmanager
def _signs_of_life(give: Callable[[], None]) -> Iterator[None]:
    """Give a sign of life now and then while the block runs, if that is possible."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(SIGN_S):
            with suppress(StorageError, OSError):
                give()

    threading.Thread(target=go_on, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _put(workspace: Workspace, holder: bytes, mode: str = "overwrite") -> None:
    with open_files(workspace.address, LOCK) as files:
        files.pipe_file(LOCK, holder, mode=mode)


def _name(holder: bytes) -> str:
    """Name the process that holds a lock, for messages."""
    return holder.decode(errors="replace").partition("\n")[0]
