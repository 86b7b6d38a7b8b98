"""Open files that others wrote: regular ones, bounded, with the digest they should have."""

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from looplib.errors import UserError


def open_untrusted(
    path: Path,
    longest: int | None = None,
    *,
    within: Path | None = None,
    sha256: str | None = None,
    error: type[UserError] = UserError,
) -> BufferedReader:
    """Open a regular file for reading; refuse a FIFO, a device or a socket without waiting.

    It may have at most the `longest` number of bytes, or with a digest must have it, and must be
    `within` a folder at any depth, links followed; None for any.
    """
    try:
        found = path.resolve(strict=True)
        if within is not None and not found.is_relative_to(within.resolve()):
            raise error(f"{path}: a link that leads out of {within}")
        file = open(found, "rb", opener=_open_now)  # noqa: SIM115  Path.open takes no opener
    # also a loop of links, and a name that no file can have
    except (OSError, RuntimeError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read ({reason})") from None
    try:
        size = os.fstat(file.fileno()).st_size
        if longest is not None and sha256 is not None and size != longest:
            raise error(f"{path}: {size} bytes found, the manifest says {longest}")
        if longest is not None and size > longest:
            raise error(f"{path}: {size} bytes found, at most {longest} are read")
        if sha256 is not None:
            _check_digest(file, path, sha256, error)
    except BaseException:
        file.close()
        raise
    return file


def read_untrusted(
    path: Path,
    longest: int,
    *,
    within: Path | None = None,
    error: type[UserError] = UserError,
) -> bytes:
    """Return the content of a regular file; one that grows meanwhile is cut."""
    with open_untrusted(path, longest, within=within, error=error) as file:
        return file.read(longest)


def _check_digest(
    file: BufferedReader, path: Path, sha256: str, error: type[UserError]
) -> None:
    try:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror})") from None
    if found != sha256:
        expected = f"the manifest says {sha256[:12]}…"
        raise error(f"{path}: sha256 {found[:12]}… found, {expected}")
    file.seek(0)


def _open_now(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("not a regular file")
