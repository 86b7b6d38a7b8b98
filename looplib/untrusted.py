"""Open files that others wrote: regular ones, bounded, with the digest they should have."""

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

    It must have at most `longest` bytes, or with a digest just as many, and be `within` a folder at
    any depth, links followed.

    Raises:
        UserError: It is another file, or cannot be read; of the class `error`.
    """
    try:
        found = path.resolve(strict=True)
        if within is not None and not found.is_relative_to(within.resolve()):
            raise error(f"{path}: a link that leads out of {within}")
        if not found.is_file():
            raise OSError("not a regular file")
        file = found.open("rb")
        try:
            problem = _find_problem(file, longest, sha256)
        except OSError:
            file.close()
            raise
    # also a loop of links, and a name that no file can have
    except (OSError, RuntimeError, ValueError) as refused:
        reason = getattr(refused, "strerror", None) or refused
        raise error(f"{path}: cannot be read ({reason})") from None
    if problem:
        file.close()
        raise error(f"{path}: {problem}")
    return file


def read_untrusted(
    path: Path,
    longest: int,
    *,
    within: Path | None = None,
    error: type[UserError] = UserError,
) -> bytes:
    """Return the content of a regular file, at most `longest` bytes.

    Raises:
        UserError: As `open_untrusted` raises it.
    """
    with open_untrusted(path, longest, within=within, error=error) as file:
        return file.read(longest)


def _find_problem(file: BufferedReader, longest: int | None, sha256: str | None) -> str:
    """Return what is wrong with a file's size or digest; "" if nothing is."""
    size = os.fstat(file.fileno()).st_size
    if longest is not None and sha256 is not None and size != longest:
        return f"{size} bytes found, the manifest says {longest}"
    if longest is not None and size > longest:
        return f"{size} bytes found, at most {longest} are read"
    if sha256 is None:
        return ""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if found != sha256:
        return f"sha256 {found[:12]}… found, the manifest says {sha256[:12]}…"
    return ""
