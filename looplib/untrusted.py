"""Open files that others wrote: regular ones, in their folder, of a bounded size, with the digest they should have."""

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
    """Open a file for reading, without waiting: a FIFO, a device or a socket is refused.

    Args:
        path: The file.
        longest: Bytes that it may have, or with a digest must have; None for any number.
        within: The folder that it must be in, at any depth, links followed; None for any.
        sha256: The digest that it must have; None for any.
        error: Raised where it is refused.
    """
    try:
        found = path.resolve(strict=True)
        if within is not None and not found.is_relative_to(within.resolve()):
            raise error(f"{path}: a link that leads out of {within}")
        file = open(found, "rb", opener=_open_now)  # noqa: SIM115  Path.open takes no opener
    except (OSError, RuntimeError, ValueError) as reason:  # a loop of links, and a name that no file can have
        raise error(f"{path}: cannot be read ({getattr(reason, 'strerror', None) or reason})") from None
    try:
        _check(file, path, longest, sha256, error)
    except BaseException:
        file.close()
        raise
    return file


def read_untrusted(
    path: Path, longest: int, *, within: Path | None = None, error: type[UserError] = UserError
) -> bytes:
    """Return the content of a file, as `open_untrusted` has it; one that grows meanwhile is cut."""
    with open_untrusted(path, longest, within=within, error=error) as file:
        return file.read(longest)


def _check(file: BufferedReader, path: Path, longest: int | None, sha256: str | None, error: type[UserError]) -> None:
    size = os.fstat(file.fileno()).st_size
    if sha256 is not None and longest is not None and size != longest:
        raise error(f"{path}: {size} bytes found, the manifest says {longest}")
    if longest is not None and size > longest:
        raise error(f"{path}: {size} bytes found, at most {longest} are read")
    if sha256 is None:
        return
    try:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror})") from None
    if found != sha256:
        raise error(f"{path}: sha256 {found[:12]}… found, the manifest says {sha256[:12]}…")
    file.seek(0)


def _open_now(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("not a regular file")
