"""Open files that others wrote: only regular, bounded files with the expected digest."""

import hashlib
import os
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

    Args:
        path: The file.
        longest: The most bytes that it may have, or with a digest how many it must have.
        within: A folder that it must be in at any depth, links followed.
        sha256: The digest of its content.
        error: The class of the errors.

    Raises:
        UserError: It is another file, or cannot be read; of the class `error`.
    """
    try:
        target = path.resolve(strict=True)
        if within is not None and not target.is_relative_to(within.resolve()):
            raise error(f"{path}: a link that leads out of {within}")
        if not target.is_file():
            raise OSError("not a regular file")
        file = target.open("rb")
        try:
            mismatch = _find_mismatch(file, longest, sha256)
        except OSError:
            file.close()
            raise
    # also a loop of links, and a name that no file can have
    except (OSError, RuntimeError, ValueError) as refused:
        reason = getattr(refused, "strerror", None) or refused
        raise error(f"{path}: cannot be read ({reason})") from None
    if mismatch:
        file.close()
        raise error(f"{path}: {mismatch}")
    return file


def read_untrusted(
    path: Path,
    longest: int,
    *,
    within: Path | None = None,
    error: type[UserError] = UserError,
) -> bytes:
    """Read the content of a regular file, at most `longest` bytes.

    Raises:
        UserError: As `open_untrusted` raises it.
    """
    with open_untrusted(path, longest, within=within, error=error) as file:
        return file.read(longest)


def _find_mismatch(
    file: BufferedReader, longest: int | None, sha256: str | None
) -> str:
    """Compare a file with the size and the digest that it should have; "" if they are right."""
    size = os.fstat(file.fileno()).st_size
    if longest is not None and sha256 is not None and size != longest:
        return f"{size} bytes found, the manifest says {longest}"
    if longest is not None and size > longest:
        return f"{size} bytes found, at most {longest} are read"
    if sha256 is None:
        return ""
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if digest == sha256:
        return ""
    return f"sha256 {digest[:12]}… found, the manifest says {sha256[:12]}…"
