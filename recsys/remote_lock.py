"""That only one process writes below an address: a lock object, and signs of life beside it.

    <folder>/.lock                who holds it; made only where there is none
    <folder>/.lock.alive-<id>  put again and again by the holder, so that the server's clock says when it last lived
    <folder>/.lock.after-<id>  held for a moment by who takes over from a dead holder; made only where there is none

A lock is taken over when its process is known to be dead, or has given no sign of life for `EXPIRY_S`. Of a process
that was taken for dead and is not, the next `check` fails, and it writes no more.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec

from recsys import storage
from recsys.errors import StorageError
from recsys.places import Mirrored

LOCK = ".lock"
SIGN_S = 15.0
EXPIRY_S = 90.0


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes:
        id: Of this holding alone.
        host: The machine's name.
        processes: Which table of processes `pid` is of: the machine's boot, and the namespace.
        pid: The process.
        started: When it started, so that another process of the same number is not taken for it.
    """

    id: str
    host: str
    processes: str
    pid: int
    started: str

    def is_dead(self) -> bool:
        """Whether it is known to be: of this machine, and no longer there."""
        return self.processes == _processes() and _started(self.pid) != self.started

    def __str__(self) -> str:
        """Short enough for an error message."""
        return f"process {self.pid} on {self.host}"


class RemoteLock:
    """The lock of one address, held."""

    def __init__(self, url: str, holder: Holder) -> None:
        """Takes where it is, and who holds it; `remote_lock` makes one."""
        self._url = url
        self._holder = holder
        self._over = threading.Event()

    def check(self) -> None:
        """Refuses to go on where another process has taken over.

        Raises:
            StorageError: One has, or the server does not answer.
        """
        found = _read(self._url)
        if found is None or found.id != self._holder.id:
            who = f"{found} has taken over" if found else "its lock was removed"
            raise StorageError(f"{self._url}: {who}, as this process gave no sign of life for long; it writes no more")

    def live(self) -> None:
        """Gives signs of life until the lock is released; one that cannot be given is left out."""
        while not self._over.wait(SIGN_S):
            try:
                storage.write(_alive(self._url, self._holder), b"")
            except StorageError:
                continue  # whoever works with the server is told by its own calls

    def release(self) -> None:
        """Gives it back; where the server is lost it expires."""
        self._over.set()
        try:
            found = _read(self._url)
            if found is not None and found.id == self._holder.id:
                storage.remove(self._url)
            storage.remove(_alive(self._url, self._holder))
        except StorageError:
            return


@contextmanager
def remote_lock(folder: Path, what: str) -> Iterator[RemoteLock | None]:
    """Makes the block the only one that holds the lock of a folder's address; None for a folder without.

    Args:
        folder: Which.
        what: What holds it, for whom it is refused: "search".

    Raises:
        StorageError: Another one holds it, or the server does not answer.
    """
    if not isinstance(folder, Mirrored):
        yield None
        return
    url = f"{folder.url}/{LOCK}"
    pid = os.getpid()
    me = Holder(uuid4().hex, socket.gethostname(), _processes(), pid, _started(pid) or "")
    storage.write(_alive(url, me), b"")
    try:
        _take(url, me, f"{folder}: another {what}")
    except BaseException:
        storage.remove(_alive(url, me))
        raise
    lock = RemoteLock(url, me)
    threading.Thread(target=lock.live, daemon=True).start()
    try:
        yield lock
    finally:
        lock.release()


def _take(url: str, me: Holder, other: str) -> None:
    if storage.create(url, msgspec.json.encode(me)):
        return
    holder = _read(url)
    if holder is None:  # released in between
        raise StorageError(f"{other} was at work here until now; run the same command again")
    silent_s = _silent_s(url, holder, me)
    if not holder.is_dead() and silent_s < EXPIRY_S:
        raise StorageError(
            f"{other} is at work here ({holder}, last heard of {silent_s:.0f} s ago); wait until it is done, or, if it "
            f"is dead, until it has not been heard of for {EXPIRY_S:.0f} s"
        )
    turn = f"{url}.after-{holder.id}"
    if not storage.create(turn, b""):
        raise StorageError(f"{other} is taking over from {holder}; if none is, remove {turn}")
    try:
        found = _read(url)
        if found is None or found.id != holder.id:
            raise StorageError(f"{other} has just taken over from {holder}; wait until it is done")
        storage.write(url, msgspec.json.encode(me))
        storage.remove(_alive(url, holder))
    finally:
        storage.remove(turn)


def _silent_s(url: str, holder: Holder, me: Holder) -> float:
    """Seconds between the holder's last sign of life and ours of just now, by the server's clock."""
    last, now = storage.modified_s(_alive(url, holder)), storage.modified_s(_alive(url, me))
    return EXPIRY_S if last is None or now is None else max(0.0, now - last)


def _read(url: str) -> Holder | None:
    content = storage.read(url)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Holder)
    except msgspec.DecodeError as error:
        raise StorageError(f"{url}: damaged ({error}); remove it when nobody is at work there") from None


def _alive(url: str, holder: Holder) -> str:
    return f"{url}.alive-{holder.id}"


def _processes() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str | None:
    """When a process of this machine started, in ticks since the boot; None if it has ended."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if facts[0] in "ZX" else facts[19]
