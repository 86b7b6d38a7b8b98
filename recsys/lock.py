"""Hold the lock of a workspace: only one process writes to a store or run at a time.

At a path it is the kernel's lock of a file, which ends with its process; the file is touched as a
sign of life. At an address it is the object `.lock`, made only where there is none, that names the
holder and is written again as a sign of life, so that the server's clock says how long the holder
has been silent. It is taken over from a process that is known to be dead, or silent for `EXPIRY_S`;
should that process live after all, its next `check` fails, and it writes no more.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
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
    """A process that holds a lock at an address."""

    id: str  # of this holding alone
    name: str  # of the process, for messages

    @property
    def file(self) -> Path:
        """A file on the holder's machine that the kernel keeps locked while the process lives."""
        return Path(tempfile.gettempdir(), f"listening-loop-{self.id}.lock")

    def is_dead(self) -> bool:
        """Return whether it was a process of this machine that has ended."""
        if not self.file.exists():
            return False
        try:
            with exclusive(self.file, BlockingIOError()):
                return True
        except OSError:
            return False


@dataclass(frozen=True)
class Lock:
    """A lock that is held; `hold_lock` makes one."""

    workspace: Workspace
    # this process; None at a path, where nobody can take over
    holder: Holder | None

    def check(self) -> None:
        """Refuse to go on where another process has taken over."""
        if self.holder and (found := _read(self.workspace)) != self.holder:
            who = f"{found.name} took over" if found else "its lock was removed"
            raise StorageError(
                f"{self.workspace}: {who} while this process was silent; it writes no more"
            )


@contextmanager
def hold_lock(workspace: Workspace, what: str) -> Iterator[Lock]:
    """Make the block, such as a "search", the only one that writes to a workspace.

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
    me = Holder(uuid4().hex, f"process {os.getpid()} on {socket.gethostname()}")

    def renew() -> None:
        if _read(workspace) == me:
            _put(workspace, LOCK, me)

    with exclusive(me.file):
        try:
            _acquire(workspace, me, busy)
            with _signs_of_life(renew):
                yield Lock(workspace, me)
        finally:
            # where the server is lost, the unlocked file says that this process is dead
            with suppress(StorageError):
                if _read(workspace) == me:
                    workspace.delete(LOCK)
                me.file.unlink()


def _acquire(workspace: Workspace, me: Holder, busy: str) -> None:
    with suppress(FileExistsError):
        _put(workspace, LOCK, me, mode="create")
        return
    holder = _read(workspace)
    silent_s = _silent_s(workspace, f"{LOCK}.probe-{me.id}")
    if holder is None or silent_s is None:
        raise StorageError(f"{busy} until now; run the same command again")
    if not holder.is_dead() and silent_s < EXPIRY_S:
        raise StorageError(
            f"{busy} ({holder.name}, last heard from {silent_s:.0f} s ago); wait until it is done, "
            f"or, if it is dead, until it has been silent for {EXPIRY_S:.0f} s"
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


def _silent_s(workspace: Workspace, probe: str) -> float | None:
    """Return the seconds since the lock was last written, by its server's clock; None without one.

    The clock is read from a new file.
    """
    _put(workspace, probe, None)
    try:
        with open_files(workspace.address, LOCK) as files:
            now, last = (files.modified(name).timestamp() for name in (probe, LOCK))
        return max(0.0, float(now - last))
    except FileNotFoundError:
        return None
    finally:
        workspace.delete(probe)


def _put(
    workspace: Workspace, name: str, holder: Holder | None, mode: str = "overwrite"
) -> None:
    with open_files(workspace.address, name) as files:
        files.pipe_file(name, msgspec.json.encode(holder), mode=mode)


def _read(workspace: Workspace) -> Holder | None:
    content = workspace.read(LOCK)
    try:
        return None if content is None else msgspec.json.decode(content, type=Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        where = f"{workspace}/{LOCK}"
        raise StorageError(
            f"{where}: damaged ({error}); remove it when nobody is at work there"
        ) from None
