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
    """Open a file for reading, without waiting: a FIFO, a device or a socket is refused with the error.

    It may have at most the `longest` number of bytes, or with a digest must have it, and must be
    `within` a folder at any depth, links followed; None for any.
    """
    try:
        found = path.resolve(strict=True)
        if within is not None and not found.is_relative_to(within.resolve()):
            raise error(f"{path}: a link that leads out of {within}")
        file = open(found, "rb", opener=_open_now)  # noqa: SIM115  Path.open takes no opener
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as reason:  # a loop of links, and a name that no file can have
        raise error(
            f"{path}: cannot be read ({getattr(reason, 'strerror', None) or reason})"
        ) from None
    try:
        size = os.fstat(file.fileno()).st_size
        if longest is not None and (
            size > longest or (sha256 is not None and size != longest)
        ):
            allowed = (
                f"at most {longest} are read"
                if sha256 is None
                else f"the manifest says {longest}"
            )
            raise error(f"{path}: {size} bytes found, {allowed}")
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
    """Return the content of a file, as `open_untrusted` has it; one that grows meanwhile is cut."""
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
        raise error(
            f"{path}: sha256 {found[:12]}… found, the manifest says {sha256[:12]}…"
        )
    file.seek(0)


def _open_now(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("not a regular file")
