"""Files and folders that appear whole or not at all, digests, and locks between processes."""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import orjson

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add a path to an error of the operating system that names no file, such as a full disk."""
    try:
        yield
    except OSError as error:
        # a subclass names its file, or is a lost connection
        if error.filename is not None or type(error) is not OSError:
            raise
        reason = error.strerror or str(error)
        raise OSError(error.errno, reason, str(path)) from None


@contextmanager
def atomic_write(path: Path, like: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file that becomes `path` when the block ends without an error.

    The content is fsynced before the rename and the folder after it: whatever happens, `path` holds
    the earlier content or all of the new content. A killed process leaves a file that
    `remove_leftovers` removes.

    Args:
        path: The file.
        like: A file whose mode and owner it takes, by default the replaced file. Without such a
            file, the umask decides.
    """
    like = like or path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with naming(path), temporary.open("xb") as file:
            if like.exists():
                status = like.stat()
                with suppress(PermissionError):
                    os.chown(temporary, status.st_uid, status.st_gid)
                temporary.chmod(stat.S_IMODE(status.st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, or nothing."""
    with atomic_write(path) as file:
        file.write(text.encode())


def atomic_write_json(path: Path, document: object) -> None:
    """Write a whole JSON file, indented, or nothing; data classes become objects."""
    with atomic_write(path) as file:
        option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        file.write(orjson.dumps(document, option=option))


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Make a temporary folder that becomes `path`, fsynced, when the block ends without an error.

    Raises:
        FileExistsError: `path` exists.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        temporary.mkdir()
        with naming(path):
            yield temporary
            for file in sorted(temporary.rglob("*")):
                fsync(file)
        fsync(temporary)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync(path.parent)


def _temporary_name(path: Path) -> Path:
    """Draw a name before anything is made, so that no signal comes between."""
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{path.suffix}")


def atomic_symlink(link: Path, target: str) -> None:
    """Make a link to a path relative to the link's folder; it replaces an earlier link."""
    temporary = link.with_name(f"{TEMPORARY_PREFIX}{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    fsync(link.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed writers from a folder without other writers."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        remove(leftover)


def remove(path: Path) -> None:
    """Remove a file, or a folder and its content, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Force a file's content, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_digest(facts: object) -> str:
    """Compute the SHA-256 of anything JSON can hold, in hex; the order of keys does not matter.

    Example:
        >>> json_digest({"seed": 7, "kind": "als"}) == json_digest({"kind": "als", "seed": 7})
        True
    """
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sha256_file(path: Path) -> str:
    """Compute the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def user_cache() -> Path:
    """Locate the cache of the project for this user, whose files can be made anew."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "listening-loop"


def lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder by its descriptor, until that is closed or the process dies.

    Returns:
        Whether this process holds the lock now; always true with `wait`, and on Windows.
    """
    try:
        import fcntl
    except ImportError:  # Windows; only `AlternatingLeastSquares` runs there
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, refusal: Exception | None = None) -> Iterator[None]:
    """Hold the lock of a folder, or of a file that is made if it is missing.

    While another process holds it, raise the refusal, or wait if there is none.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o644)
    try:
        if not lock(handle, wait=refusal is None) and refusal is not None:
            raise refusal
        yield
    finally:
        os.close(handle)
