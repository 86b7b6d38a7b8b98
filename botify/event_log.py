"""Write the event log: acknowledged events are on file, and readers see closed files alone.

Every process appends to its own segment, whose name starts with a dot (readers skip it) and which
it keeps locked. A segment that is large or old enough is closed: renamed to `events-…-crc….jsonl`,
by the CRC-32 of its content. Its lock ends with its process, however that dies, so the next process
to start finds the segments of dead processes, cuts off a torn last line, and closes them.

The `fsync` policy says when an event is safe, as in Redis's append-only file: `always` before the
answer, `everysec` within a second of it (a power cut may take that second; a killed process loses
nothing), `never` whenever the operating system likes.
"""

import contextlib
import errno
import logging
import os
import secrets
import socket
import threading
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson

from botify import limits
from botify.errors import BotifyError
from botify.model.catalogue import Catalogue
from looplib.checksums import named, seal, unseal
from looplib.event_fields import EVENT_FIELDS
from looplib.files import atomic_write_json, fsync, lock

OPEN_PREFIX = "."
TICK_S = 1.0
_PROBE = b" " * 4096  # has no line end, so that adoption cuts it off

_logger = logging.getLogger(__name__)

Message = Literal["next", "last"]
Fsync = Literal["always", "everysec", "never"]
"""When an event is on the disk."""

_FIELDS = tuple(field.name for field in EVENT_FIELDS)
_ABSENT = tuple(
    field.name for field in EVENT_FIELDS if field.from_client and field.optional
)


def event_line(**values: object) -> bytes:
    """Format a line of the event log from values of `EVENT_FIELDS`.

    Fields without a value are null, but for fields that clients may send, which are absent.
    """
    event = {name: values.get(name) for name in _FIELDS}
    for name in _ABSENT:
        if event[name] is None:
            del event[name]
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def describe_log(
    folder: Path, catalogue: Catalogue, *, text_users: bool = False
) -> None:
    """Write `collection.json`, which names the catalogue of the track ids, beside the log.

    Raises:
        BotifyError: It is there, and of another catalogue or kind of listeners, or unreadable.
        OSError: The folder cannot be written.
    """
    path = folder / "collection.json"
    source = {"sha256": catalogue.sha256, "tracks": len(catalogue)}
    served = {"schema": 1, "catalogue": source}
    if catalogue.numbers:
        source["own_ids"] = True
    if text_users:
        served["text_users"] = True
    if path.exists():
        try:
            described = unseal(path.read_bytes())
        except ValueError as error:
            raise BotifyError(
                f"{path}: damaged ({error}); restore it, or name another folder in log_dir"
            ) from None
        if _ids_of(described) != _ids_of(served):
            raise BotifyError(
                f"{path}: the log has other ids: {described} there, {served} now; "
                "name another folder in log_dir"
            )
    atomic_write_json(path, seal(served))


def _ids_of(description: object) -> object:
    """Extract the kinds of ids; ids of the owner mean the same in another catalogue."""
    match description:
        case {"catalogue": {"own_ids": True}, **rest}:
            return rest
    return description


class SegmentWriter:
    """Appends to the segment of this process; safe for several threads.

    Make it in the process that writes, not before a fork: the lock of a segment would outlive its
    writer.
    """

    def __init__(self, folder: Path, policy: Fsync = "everysec") -> None:
        """Make the folder and close the segments that dead processes left in it.

        A segment is closed before it grows over `limits.SEGMENT_BYTES` (an append is never split),
        or within a second of `limits.SEGMENT_AGE_S`. Its name has the host and the number of its
        process.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder = folder
        self._policy = policy
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self.failure: str | None = None  # why events cannot be written now
        self._stopped = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        adopt_segments(folder)
        self._ticker = threading.Thread(
            target=self._tick_until_stopped, name="event log", daemon=True
        )
        self._ticker.start()

    def append(self, lines: bytes) -> None:
        """Write whole lines, all or none; when it returns, they outlive the process.

        Raises:
            OSError: The disk is full or fails, or the log is closed. Nothing is written.
        """
        with self._lock:
            if self._stopped.is_set():
                raise OSError(errno.EBADF, "the event log is closed")
            try:
                if self._segment and not self._segment.is_in_place():
                    lost = "the open segment was removed, moved or cut; events are lost"
                    _logger.error("%s: %s", self._folder, lost)
                    self._close_segment()
                size = len(lines) + (self._segment.size if self._segment else 0)
                if size > limits.SEGMENT_BYTES:
                    self._close_segment()
                self._open_segment().append(lines, sync=self._policy == "always")
            except OSError as error:
                self._remember(error)
                raise

    def close(self) -> None:
        """Close the segment; later appends are refused. Closing again does nothing."""
        with self._lock:
            self._stopped.set()
            self._close_segment()
        self._ticker.join()

    def _open_segment(self) -> "_Segment":
        if self._segment is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._segment = _Segment(self._folder)
        return self._segment

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment:
            segment.close(sync=self._policy != "never")

    def _remember(self, error: OSError | None) -> None:
        """Remember the failure to write events; log the first failure, and its end."""
        if error and not self.failure:
            _logger.error(
                "%s: events cannot be written (%s)",
                self._folder,
                error,
            )
        if self.failure and not error:
            _logger.warning("%s: events can be written again", self._folder)
        self.failure = str(error) if error else None

    def _tick_until_stopped(self) -> None:
        while not self._stopped.wait(TICK_S):
            try:
                self._tick()
            except OSError as error:
                self._remember(error)

    def _tick(self) -> None:
        """Try a disk that failed, close an old segment, and fsync as `everysec` promises.

        Raises:
            OSError: The disk fails.
        """
        with self._lock:
            if self._stopped.is_set():
                return
            if self.failure:
                self._open_segment().probe()
                self._remember(None)
            segment = self._segment
            if segment is None:
                return
            age_s = time.monotonic() - segment.started_s
            if age_s >= limits.SEGMENT_AGE_S:
                self._close_segment()
                return
            if self._policy != "everysec" or not segment.is_dirty:
                return
            segment.is_dirty = False
            handle = os.dup(segment.handle)  # stays open when the segment is closed
        try:
            os.fsync(handle)  # outside of the lock: appends go on meanwhile
        finally:
            os.close(handle)


class _Segment:
    """An open segment: locked, and named so that readers skip it."""

    def __init__(self, folder: Path) -> None:
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        process = f"{socket.gethostname()}-{os.getpid()}"
        name = f"events-{started}-{process}-{secrets.token_hex(4)}.jsonl"
        self._path = folder / f"{OPEN_PREFIX}{name}"
        while True:
            self.handle = os.open(
                self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644
            )
            lock(self.handle, wait=True)
            self._status = os.fstat(self.handle)
            if self._status.st_nlink:
                break
            # between the two calls, another process adopted it as a dead process's, and removed it
            os.close(self.handle)
        self.started_s = time.monotonic()
        self.size = 0
        self.crc = 0
        self.is_dirty = False  # something was written since the last fsync

    def append(self, lines: bytes, *, sync: bool) -> None:
        self._write(lines, sync=sync)
        self.size += len(lines)
        self.crc = zlib.crc32(lines, self.crc)
        self.is_dirty = True

    def probe(self) -> None:
        """Raise an `OSError` unless more can be written; the segment stays as it is."""
        self._write(_PROBE, sync=True)
        os.ftruncate(self.handle, self.size)

    def is_in_place(self) -> bool:
        """Check that the file is still at its path, with its whole content."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        is_same = os.path.samestat(status, self._status)
        return is_same and status.st_size >= self.size

    def close(self, *, sync: bool) -> None:
        try:
            if self.is_in_place():  # else the next adoption closes it
                os.ftruncate(self.handle, self.size)
                if sync:
                    os.fsync(self.handle)
                _publish(self._path, self.size, self.crc)
        finally:
            os.close(self.handle)

    def _write(self, content: bytes, *, sync: bool) -> None:
        """Append content, or cut off the written part if the disk fails."""
        written = 0
        try:
            while written < len(content):  # less when the disk is full or a signal came
                rest = content[written:]
                written += os.pwrite(self.handle, rest, self.size + written)
            if sync:
                os.fsync(self.handle)
        except OSError:
            # if cutting fails, too, the next write or the adoption does it
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, self.size)
            raise


def adopt_segments(folder: Path) -> None:
    """Close the segments of dead processes: cut off a torn last line, and rename them.

    Raises:
        OSError: The folder cannot be written.
    """
    for path in sorted(folder.glob(f"{OPEN_PREFIX}events-*.jsonl")):
        # missing: closed in this very moment
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            handle = file.fileno()
            # else its process lives, or closed it before the lock was ours
            if lock(handle) and path.exists():
                content = file.read()
                size = content.rfind(b"\n") + 1
                os.ftruncate(handle, size)
                os.fsync(handle)
                _publish(path, size, zlib.crc32(memoryview(content)[:size]))


def _publish(path: Path, size: int, crc: int) -> None:
    """Give a segment its final name, with its checksum; remove an empty segment."""
    if size == 0:
        path.unlink()
        return
    path.rename(named(path.with_name(path.name.removeprefix(OPEN_PREFIX)), crc))
    fsync(path.parent)
