"""The event log: what was acknowledged is written, and a reader never sees a file that still grows.

Every process appends to its own segment, whose name starts with a dot (readers skip it) and which
it keeps locked. A segment that is large or old enough is closed: renamed to `events-…-crc….jsonl`,
by the CRC-32 of its content. Its lock ends with its process, however that dies, so the next process
to start finds the segments of dead ones, cuts off a torn last line, and closes them.

The `fsync` policy says when an event is safe, as in Redis's append-only file: `always` before the
answer, `everysec` within a second of it (a power cut may take that second; a killed process loses
nothing), `never` whenever the operating system likes.
"""

import contextlib
import errno
import logging
import os
import secrets
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson

from botify.errors import StartError
from botify.model.catalogue import Catalogue, Id
from botify.schemas import Listening
from botify.settings import EventLogSettings
from looplib.checksums import named
from looplib.files import atomic_write_json, fsync, lock

OPEN_PREFIX = "."
TICK_S = 1.0
_PROBE = b" " * 4096  # without a line's end, so that adoption cuts it off

_logger = logging.getLogger(__name__)

Message = Literal["next", "last"]

Outcome = tuple[str | None, Mapping[str, str], int | None, str | None, float | None]
"""The result of a request: (session, arm by experiment, recommendation, recommender, propensity).

The session's id is None while the session store is down, the last three on `last`.
"""


def event_lines(
    message: Message,
    timestamp: int,
    latency: float,
    requests: Iterable[Listening],
    outcomes: Iterable[Outcome],
    numbers: Sequence[int | None] = (),
    *,
    ids: Sequence[Id],
) -> list[bytes]:
    """Format lines of the event log, one a request, whose number (`numbers`) is there if it has one.

    The timestamp is in ms since the epoch, UTC; the latency, in the service, in seconds; `ids` are
    those of the tracks.
    """
    lines = [
        orjson.dumps(
            {
                "message": message,
                "timestamp": timestamp,
                "user": user,
                "track": ids[track],
                "time": time,
                "latency": latency,
                "recommendation": None
                if recommendation is None
                else ids[recommendation],
                "experiments": experiments,
                "session": session,
                "recommender": recommender,
                "propensity": propensity,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for (user, track, time), (
            session,
            experiments,
            recommendation,
            recommender,
            propensity,
        ) in zip(requests, outcomes, strict=True)
    ]
    for i, number in enumerate(numbers):
        if number is not None:
            lines[i] = b'%b,"request":%d}\n' % (lines[i][:-2], number)
    return lines


def describe_log(
    folder: Path, catalogue: Catalogue, *, text_users: bool = False
) -> None:
    """Write `collection.json`, which names the catalogue of the track ids, beside the log unless it is there.

    Raises:
        StartError: The log in this folder is of another catalogue or kind of listeners, or cannot
            be read.
        OSError: The folder cannot be written.
    """
    path = folder / "collection.json"
    facts = {
        "sha256": catalogue.sha256,
        "tracks": len(catalogue),
        **({"own_ids": True} if catalogue.numbers else {}),
    }
    if not path.exists():
        atomic_write_json(
            path,
            {"schema": 1, "catalogue": facts}
            | ({"text_users": True} if text_users else {}),
        )
        return
    try:
        found = orjson.loads(path.read_bytes())
    except ValueError as error:
        raise StartError(f"{path}: not JSON ({error})") from None
    found = {"text_users": False} | (found if isinstance(found, dict) else {})
    served = {"catalogue": facts, "text_users": text_users}
    other = [
        f"{key} {found.get(key)} there, {value} now"
        for key, value in served.items()
        if found.get(key) != value
    ]
    if other:
        raise StartError(
            f"{path}: the log here is of other ids: {'; '.join(other)}; name another folder in log_dir"
        )


class SegmentWriter:
    """Appends to the segment of this process; safe for several threads.

    Make it in the process that writes, not before a fork: the lock of a segment would outlive its
    writer.
    """

    def __init__(self, folder: Path, settings: EventLogSettings, process: str) -> None:
        """Make the folder and close the segments that dead processes left in it.

        A segment is closed before it grows over its size (one append is never split), or within a
        second of its age. Its name has the name of its process, such as host and number.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder, self._settings, self._process = folder, settings, process
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
                if (
                    self._segment
                    and self._segment.size + len(lines) > self._settings.segment_bytes
                ):
                    self._close_segment()
                self._open_segment().append(
                    lines, sync=self._settings.fsync == "always"
                )
            except OSError as error:
                self._note(error)
                raise
            if self.failure:
                self._note(None)

    def close(self) -> None:
        """Close the segment; later appends are refused. Closing again does nothing."""
        with self._lock:
            self._stopped.set()
            self._close_segment()
        self._ticker.join()

    def _open_segment(self) -> "_Segment":
        if self._segment is None:
            self._segment = _Segment(self._folder, self._process)
        return self._segment

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment:
            segment.close(sync=self._settings.fsync != "never")

    def _note(self, error: OSError | None) -> None:
        """Keep whether events can be written; the first failure is logged, and its end."""
        if error and not self.failure:
            _logger.error(
                "%s: events cannot be written, so requests are refused (%s)",
                self._folder,
                error,
            )
        elif not error:
            _logger.warning("%s: events can be written again", self._folder)
        self.failure = str(error) if error else None

    def _tick_until_stopped(self) -> None:
        while not self._stopped.wait(TICK_S):
            try:
                self._tick()
            except OSError as error:
                self._note(error)

    def _tick(self) -> None:
        """Try a disk that failed, close a segment that is old, and fsync as `everysec` promises."""
        with self._lock:
            if self.failure:
                self._open_segment().probe()
                self._note(None)
            if (
                self._segment
                and time.monotonic() - self._segment.started_s
                >= self._settings.segment_age_s
            ):
                self._close_segment()
            if (
                self._settings.fsync != "everysec"
                or not self._segment
                or not self._segment.is_dirty
            ):
                return
            self._segment.is_dirty = False
            handle = os.dup(
                self._segment.handle
            )  # stays open when the segment is closed
        try:
            os.fsync(handle)  # outside of the lock: appends go on meanwhile
        finally:
            os.close(handle)


class _Segment:
    """An open segment: locked, and named so that readers skip it."""

    def __init__(self, folder: Path, process: str) -> None:
        while True:
            started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            self._path = (
                folder
                / f"{OPEN_PREFIX}events-{started}-{process}-{secrets.token_hex(4)}.jsonl"
            )
            self.handle = os.open(
                self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644
            )
            lock(self.handle, wait=True)
            if os.fstat(self.handle).st_nlink:
                break
            os.close(
                self.handle
            )  # adopted as a dead process's between the two calls, and removed
        self.started_s = time.monotonic()
        self._is_torn = False
        self.size = self.crc = 0
        self.is_dirty = False  # something was written since the last fsync

    def append(self, lines: bytes, *, sync: bool) -> None:
        if self._is_torn:
            self._cut()
        self._is_torn = True
        try:
            written = os.write(self.handle, lines)
            while written < len(
                lines
            ):  # the disk is about to be full, or a signal came
                written += os.write(self.handle, lines[written:])
            if sync:
                os.fsync(self.handle)
        except OSError:
            # if this fails, the next append or the adoption cuts it
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._is_torn = False
        self.size += len(lines)
        self.crc = zlib.crc32(lines, self.crc)
        self.is_dirty = True

    def probe(self) -> None:
        """Raise an `OSError` unless more can be written; the segment stays as it is."""
        size, crc = self.size, self.crc
        self.append(_PROBE, sync=True)
        self.size, self.crc = size, crc
        self._cut()

    def close(self, *, sync: bool) -> None:
        try:
            if self._is_torn:
                self._cut()
            if sync:
                os.fsync(self.handle)
            _publish(self._path, self.size, self.crc)
        finally:
            os.close(self.handle)

    def _cut(self) -> None:
        os.ftruncate(self.handle, self.size)
        self._is_torn = False


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
    """Give a segment its final name, which has the checksum of its content; an empty one is removed."""
    if size == 0:
        path.unlink()
        return
    path.rename(named(path.with_name(path.name.removeprefix(OPEN_PREFIX)), crc))
    fsync(path.parent)
