"""The event log: what was acknowledged is written, and a reader never sees a file that still grows.

Every process appends to a segment of its own, whose name starts with a dot (readers skip it) and which it keeps locked
(`flock`). A segment that is large or old enough is closed: renamed to its final name, `events-….jsonl`. The lock goes
with its process, however that ends, so the next process to start finds the segments of the dead, cuts off a torn
last line, and closes them.

When an event is safe is said by the `fsync` policy, as in Redis's append-only file: `always` before the answer,
`everysec` within a second of it (a power cut may take that second; a killed process loses nothing), `never` whenever
the operating system likes.
"""

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson

from looplib.files import fsync_directory

Fsync = Literal["always", "everysec", "never"]

OPEN_PREFIX = "."
TICK_S = 1.0

_logger = logging.getLogger(__name__)


Outcome = tuple[str | None, Mapping[str, str], int | None, str | None, float | None]
"""What became of a request: (session, experiments, recommendation, recommender, propensity).

The session's id is None while the session store is down; `experiments` is the arm by running experiment; the track
recommended next, who recommended it, after fallbacks, and the probability with which it was drawn, where that is known,
are None on `last`.
"""


def event_lines(
    message: Literal["next", "last"],
    timestamp: int,
    latency: float,
    requests: Iterable[tuple[int, int, float]],
    outcomes: Iterable[Outcome],
) -> list[bytes]:
    """Lines of the event log, one a request.

    Args:
        message: Whether recommendations were asked for, or the sessions ended.
        timestamp: ms since the epoch, UTC.
        latency: Seconds spent in the service.
        requests: (listener, track just heard, share of it that was heard, 0..1) of each.
        outcomes: What became of each.
    """
    return [
        orjson.dumps(
            {
                "message": message,
                "timestamp": timestamp,
                "user": user,
                "track": track,
                "time": time,
                "latency": latency,
                "recommendation": recommendation,
                "experiments": experiments,
                "session": session,
                "recommender": recommender,
                "propensity": propensity,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for (user, track, time), (session, experiments, recommendation, recommender, propensity) in zip(
            requests, outcomes, strict=True
        )
    ]


class SegmentWriter:
    """Appends to the segment of this process; of use to several threads at once.

    Make it in the process that writes, not before a fork: the lock of a segment would outlive its writer.
    """

    def __init__(self, folder: Path, *, fsync: Fsync, max_bytes: int, max_age_s: float, process: str) -> None:
        """Makes the folder and closes the segments that dead processes left in it.

        Args:
            folder: Where the segments are.
            fsync: When the operating system is made to write to the disk.
            max_bytes: A segment is closed before it grows over this; one append is never split.
            max_age_s: A segment is closed when it is this old, within a second.
            process: Part of the segments' names; tells the processes apart, such as host and number.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder, self._fsync, self._process = folder, fsync, process
        self._max_bytes, self._max_age_s = max_bytes, max_age_s
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self._stopped = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        adopt_segments(folder)
        self._ticker = threading.Thread(target=self._keep, name="event log", daemon=True)
        self._ticker.start()

    def append(self, lines: bytes) -> None:
        """Writes whole lines, all or none; when it returns, they outlive the process.

        Raises:
            OSError: The disk is full or fails, or the log is closed. Nothing is written.
        """
        with self._lock:
            if self._stopped.is_set():
                raise OSError(errno.EBADF, "the event log is closed")
            segment = self._segment
            if segment and (segment.size + len(lines) > self._max_bytes or segment.age_s >= self._max_age_s):
                self._close_segment()
                segment = None
            if segment is None:
                segment = self._segment = _Segment(self._folder, self._process)
            segment.append(lines, sync=self._fsync == "always")

    def close(self) -> None:
        """Closes the segment; later appends are refused. Closing again does nothing."""
        with self._lock:
            self._stopped.set()
            self._close_segment()
        if threading.current_thread() is not self._ticker:
            self._ticker.join()

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment:
            segment.close(sync=self._fsync != "never")

    def _keep(self) -> None:
        """Every second: what `everysec` promises, and the end of a segment to which nobody writes any more."""
        while not self._stopped.wait(TICK_S):
            try:
                self._tick()
            except OSError:
                _logger.exception("%s: the event log cannot be kept on the disk", self._folder)

    def _tick(self) -> None:
        with self._lock:
            if self._segment and self._segment.age_s >= self._max_age_s:
                self._close_segment()
            if self._fsync != "everysec" or not self._segment or not self._segment.is_dirty:
                return
            handle = self._segment.share()
        try:
            os.fsync(handle)  # outside of the lock: appends go on meanwhile
        finally:
            os.close(handle)


class _Segment:
    """An open segment: locked, and named so that readers skip it."""

    def __init__(self, folder: Path, process: str) -> None:
        while True:
            started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            self._path = folder / f"{OPEN_PREFIX}events-{started}-{process}-{secrets.token_hex(4)}.jsonl"
            self._handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            if os.fstat(self._handle).st_nlink:
                break
            os.close(self._handle)  # taken for a dead process's between the two calls, and removed
        self._started = time.monotonic()
        self._is_torn = False
        self.size = 0
        self.is_dirty = False

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started

    def append(self, lines: bytes, *, sync: bool) -> None:
        if self._is_torn:
            self._cut()
        self._is_torn = True
        try:
            written = os.write(self._handle, lines)
            while written < len(lines):  # the disk is about to be full, or a signal came
                written += os.write(self._handle, lines[written:])
            if sync:
                os.fsync(self._handle)
        except OSError:
            with contextlib.suppress(OSError):  # then before the next append, or by whoever adopts the segment
                self._cut()
            raise
        self._is_torn = False
        self.size += len(lines)
        self.is_dirty = True

    def share(self) -> int:
        """A handle that stays open when the segment is closed; what was written so far counts as on the disk."""
        self.is_dirty = False
        return os.dup(self._handle)

    def close(self, *, sync: bool) -> None:
        try:
            if self._is_torn:
                self._cut()
            if sync:
                os.fsync(self._handle)
            _publish(self._path, self.size)
        finally:
            os.close(self._handle)

    def _cut(self) -> None:
        os.ftruncate(self._handle, self.size)
        self._is_torn = False


def adopt_segments(folder: Path) -> list[Path]:
    """Closes the segments of dead processes: cuts off a torn last line, and renames them.

    Returns:
        The final names.

    Raises:
        OSError: The folder cannot be written.
    """
    adopted = (_adopt(path) for path in sorted(folder.glob(f"{OPEN_PREFIX}events-*.jsonl")))
    return [path for path in adopted if path]


def _adopt(path: Path) -> Path | None:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # closed in this very moment
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():  # closed before the lock was ours
            return None
        size = _whole_lines(handle)
        os.ftruncate(handle, size)
        os.fsync(handle)
        return _publish(path, size)
    except BlockingIOError:  # its process lives
        return None
    finally:
        os.close(handle)


def _whole_lines(handle: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - (1 << 16))
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _publish(path: Path, size: int) -> Path | None:
    """Gives a segment its final name; an empty one is removed."""
    if size == 0:
        path.unlink()
        return None
    final = path.with_name(path.name.removeprefix(OPEN_PREFIX))
    path.rename(final)
    fsync_directory(path.parent)
    return final
