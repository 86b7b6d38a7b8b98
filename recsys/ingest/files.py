"""What every ingest does with its files: each content once, and the machine's errors in one line."""

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import xxhash

from analysis import queries
from analysis.logs import reader as event_log
from analysis.logs.reader import LogFile
from recsys.errors import IngestError
from recsys.store.manifest import Manifest
from recsys.workspace import Workspace

_MEMORY = re.compile(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NewFiles:
    """Of some logs, one after the other, those whose content neither a store nor an earlier one has.

    A log's digest is taken when it is its turn to be read, while its bytes are at hand.

    Attributes:
        digests: Of the new ones so far.
        known: Those so far that were not.
    """

    def __init__(self, files: Sequence[LogFile], manifest: Manifest, reading: str = "") -> None:
        """Takes the files and the manifest of the store; the same bytes under another `reading` are another content."""
        self._reading = reading
        self.digests: dict[LogFile, str] = {}
        self.known: list[LogFile] = []
        self._files = files
        self._digests = {source.digest for source in manifest.sources}
        self._states: dict[LogFile, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[LogFile]:
        """The new ones, one after the other."""
        for file in self._files:
            self._states[file] = _state(file)
            digest = event_log.digest(file)
            if self._reading:
                digest = xxhash.xxh3_128_hexdigest(f"{digest} {self._reading}".encode())
            if digest in self._digests:
                self.known.append(file)
                continue
            self._digests.add(digest)
            self.digests[file] = digest
            yield file

    def check_unchanged(self) -> None:
        """A log that was written to in the meantime has another digest than what was read."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise IngestError(f"{file.name}: changed while it was read; ingest it when it is complete")


def _state(file: LogFile) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns


def check_memory(memory: str) -> None:
    """Refuses what is no size.

    Raises:
        IngestError: It is not such as "1GB".
    """
    if not _MEMORY.fullmatch(memory):
        raise IngestError(f"memory {memory!r}: a size such as 500MB or 1GB is expected")


@contextmanager
def machine_errors_explained(store: Workspace) -> Iterator[None]:
    """Makes too little memory and a full disk one line each.

    Raises:
        IngestError: In their place.
    """
    try:
        yield
    except queries.OutOfMemory as error:
        raise IngestError(f"{store}: too little memory, allow more with --memory ({_first_line(error)})") from None
    except queries.DiskErrors as error:
        raise IngestError(f"{store}: {_first_line(error)}; the store is as it was") from None
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise IngestError(f"{store}: {error.strerror}; the store is as it was") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
