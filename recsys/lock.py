"""Hold the lock of a workspace: only one process writes to a store or run at a time.

It is the kernel's lock of a file, which ends with its process; the file is touched as a sign of
life. Of an address there is the object `.lock` too, made only where there is none, that names the
holder and is written again as a sign of life, so that the server's clock says how long the holder
has been silent. It is taken over from a process of this machine that no longer holds the file, or
one that is silent for `EXPIRY_S`; should that process live after all, its next `check` fails, and
it writes no more.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from looplib.files import exclusive
from recsys.errors import StorageError
from recsys.workspace import Workspace, open_files

LOCK = ".lock"
SIGN_S = 15.0
EXPIRY_S = 90.0


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock of an address."""

    id: str  # of this holding alone
    name: str  # of the process, for messages


@dataclass(frozen=True)
class Lock:
    """A lock that is held; `hold_lock` makes one."""

    workspace: Workspace
    # this process; None of a path, whose lock nobody can take over
    holder: Holder | None

    def check(self) -> None:
        """Refuse to go on where another process has taken over."""
        if self.holder and (found := _read(self.workspace)) != self.holder:
            who = f"{found.name} has taken over" if found else "its lock was removed"
            raise StorageError(
                f"{self.workspace}: {who}, as this process was silent for long; it writes no more"
            )


@contextmanager
def hold_lock(workspace: Workspace, what: str) -> Iterator[Lock]:
    """Make the block, such as a "search", the only one that writes to a workspace.

    Raises:
        StorageError: Another process holds the lock, or the server does not answer.
    """
    folder = workspace.folder
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"{workspace}: another {what} is at work here"
    refusal = StorageError(f"{busy}; wait until it is done, or name another folder")
    if not workspace.is_remote:
        file = folder / LOCK
        with exclusive(file, refusal), _signs_of_life(lambda: os.utime(file)):
            yield Lock(workspace, None)
        return
    # the folder itself is a cache, which is cleared
    file = folder.with_name(f".{folder.name}.holder")
    name = f"process {os.getpid()} on {socket.gethostname()}"
    me = Holder(uuid4().hex, name)

    def renew() -> None:
        if _read(workspace) == me:
            _put(workspace, LOCK, me)

    with exclusive(file, refusal):
        _acquire(workspace, me, busy, dead=file.read_text())
        file.write_text(me.id)
        try:
            with _signs_of_life(renew):
                yield Lock(workspace, me)
        finally:
            with suppress(StorageError):  # where the server is lost it expires
                if _read(workspace) == me:
                    workspace.delete(LOCK)


def _acquire(workspace: Workspace, me: Holder, busy: str, dead: str) -> None:
    """Make or take over the object; `dead` is the id of this machine's last holder."""
    with suppress(FileExistsError):
        _put(workspace, LOCK, me, mode="create")
        return
    holder = _read(workspace)
    if holder is None:
        raise StorageError(f"{busy} until now; run the same command again")
    silent_s = _silent_s(workspace, f"{LOCK}.probe-{me.id}")
    if holder.id != dead and silent_s < EXPIRY_S:
        raise StorageError(
            f"{busy} ({holder.name}, last heard of {silent_s:.0f} s ago); wait until it is done, "
            f"or, if it is dead, until it has not been heard of for {EXPIRY_S:.0f} s"
        )
    if _read(workspace) != holder:
        raise StorageError(
            f"{busy}, which has just taken over from {holder.name}; wait until it is done"
        )
    # should two come here at once, the last to write holds it, and the other's check fails
    _put(workspace, LOCK, me)


@contextmanager
def _signs_of_life(give: Callable[[], None]) -> Iterator[None]:
    """Give a sign of life now and then while the block runs, where that is possible."""
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


def _silent_s(workspace: Workspace, probe: str) -> float:
    """Return the seconds since the lock was last written, by the clock of a new file's server."""
    _put(workspace, probe, None)
    with open_files(workspace.address, LOCK) as files:
        now, last = (files.modified(name).timestamp() for name in (probe, LOCK))
    workspace.delete(probe)
    return max(0.0, float(now - last))


def _put(
    workspace: Workspace, name: str, holder: Holder | None, mode: str = "overwrite"
) -> None:
    with open_files(workspace.address, name) as files:
        files.pipe_file(name, msgspec.json.encode(holder), mode=mode)


def _read(workspace: Workspace) -> Holder | None:
    content = workspace.read(LOCK)
    try:
        return None if content is None else msgspec.json.decode(content, type=Holder)
    except msgspec.MsgspecError as error:
        where = f"{workspace}/{LOCK}"
        raise StorageError(
            f"{where}: damaged ({error}); remove it when nobody is at work there"
        ) from None
