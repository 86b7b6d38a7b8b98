"""Folders at an address, `s3://bucket/folder`, and their mirror on a disk of this machine.

Whatever reads and writes works on the mirror, by a `Mirrored` path. What is to be read is fetched first, and what was
written is given; for any other path both do nothing. On its way to a worker a `Mirrored` path becomes its address, and
there the path of that machine's mirror: machines need no folder in common.

A mirror is a cache: removed while nothing runs, it is fetched again. It lies in the folder that LISTENING_LOOP_SCRATCH
names, or in the user's cache folder; the processes of a machine may share it::

    <scratch>/<scheme>-<digest of the endpoint>/<bucket>/<folder>/…
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath

import orjson

from common.files import TEMPORARY_PREFIX, sha256_file
from recsys import storage
from recsys.errors import StorageError

SCRATCH = "LISTENING_LOOP_SCRATCH"
OBJECTS = "objects.json"  # of a folder that was given whole: name to bytes and sha256; put last
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class Mirrored(PosixPath):
    """A path in a mirror; formatted (`f"{path}"`) it is its address, as `str(path)` its place on this machine."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The address."""
        scheme, *rest = self.relative_to(scratch()).parts
        slashes = ":///" if scheme.startswith("file-") else "://"
        return scheme.rpartition("-")[0] + slashes + "/".join(rest)

    def __format__(self, spec: str) -> str:
        """The address, so that messages name what the user named."""
        return format(self.url if self.is_relative_to(scratch()) else str(self), spec)

    def __reduce__(self) -> tuple[object, ...]:
        """Travels as its address."""
        return place, (self.url,)


def place(text: str | Path) -> Path:
    """The path that a text names; a `Mirrored` one if it is an address.

    Raises:
        StorageError: The address names no bucket.
    """
    if isinstance(text, Path) or not storage.is_address(text):
        return Path(text)
    scheme, _, rest = text.partition("://")
    names = [name for name in rest.split("/") if name]
    if not names or any(name in (".", "..") for name in names):
        raise StorageError(f"{text}: no address of a folder, such as s3://bucket/folder")
    endpoint = next((os.environ[key] for key in _ENDPOINTS if os.environ.get(key)), "") if scheme == "s3" else ""
    root = f"{scheme}-{hashlib.sha256(endpoint.encode()).hexdigest()[:8]}"
    return Mirrored(scratch(), root, *names)


def scratch() -> Path:
    """Where this machine's mirrors are."""
    named = os.environ.get(SCRATCH)
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "listening-loop"


def fetch(path: Path, sha256: str | None = None) -> Path:
    """Makes a file of a mirror what the object is now, or removes it where there is none; returns the path.

    Args:
        path: Which; any other path stays as it is.
        sha256: Of an object that never changes: where the mirror has this one, nobody is asked.

    Raises:
        StorageError: The server does not answer or refuses, or the object has another digest.
    """
    if not isinstance(path, Mirrored):
        return path
    with _alone(path):
        version = sha256 or storage.version(path.url)
        if version is None:
            path.unlink(missing_ok=True)
        elif not _is_noted(path, version):
            _download(path, sha256)
            _note(path, version)
    return path


def give(path: Path, sha256: str | None = None) -> None:
    """Puts a file of a mirror to its address.

    Args:
        path: Which; of any other path nothing is done.
        sha256: By which it will be fetched.

    Raises:
        StorageError: The server does not answer or refuses; the object is as it was.
    """
    if not isinstance(path, Mirrored):
        return
    with _alone(path):
        storage.upload(path, path.url)
        _note(path, sha256 or storage.version(path.url) or "")


def forget(path: Path) -> None:
    """Removes a file, and the object that it mirrors."""
    path.unlink(missing_ok=True)
    if isinstance(path, Mirrored):
        _noting(path).unlink(missing_ok=True)
        storage.remove(path.url)


def fetch_folder(path: Path) -> bool:
    """Makes a folder of a mirror what was given, every digest checked; whether there is such a folder.

    Raises:
        StorageError: The server does not answer or refuses, or an object has another digest.
    """
    if not isinstance(path, Mirrored):
        return path.exists()
    with _alone(path):
        content = storage.read(f"{path.url}/{OBJECTS}")
        if content is None:
            return False
        kept = path / OBJECTS
        if kept.exists() and kept.read_bytes() == content:
            return True
        temporary = path.with_name(f"{TEMPORARY_PREFIX}fetched-{path.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        for name, (size, sha256) in orjson.loads(content).items():
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            storage.download(f"{path.url}/{name}", file)
            _check(file, f"{path.url}/{name}", sha256, size)
        (temporary / OBJECTS).write_bytes(content)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    return True


def give_folder(path: Path) -> None:
    """Puts a folder of a mirror to its address; its table of objects goes last, and makes it one.

    Raises:
        StorageError: The server does not answer or refuses; nobody sees the folder then.
    """
    if not isinstance(path, Mirrored):
        return
    with _alone(path):
        table = {}
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.name != OBJECTS:
                name = file.relative_to(path).as_posix()
                storage.upload(file, f"{path.url}/{name}")
                table[name] = (file.stat().st_size, sha256_file(file))
        content = orjson.dumps(table, option=orjson.OPT_INDENT_2)
        storage.write(f"{path.url}/{OBJECTS}", content)
        (path / OBJECTS).write_bytes(content)


def names_in(path: Path) -> list[str]:
    """What a folder holds, at its address if it has one; files of a folder below it by their path."""
    if isinstance(path, Mirrored):
        return list(storage.sizes(path.url))
    return [entry.name for entry in path.iterdir()] if path.exists() else []


def fetch_below(path: Path) -> None:
    """Fetches whatever is below a folder's address now."""
    if isinstance(path, Mirrored):
        for name in storage.sizes(path.url):
            fetch(path / name)


def forget_below(path: Path) -> None:
    """Removes a folder, and the objects below its address."""
    shutil.rmtree(path, ignore_errors=True)
    if isinstance(path, Mirrored):
        storage.remove_below(path.url)


def drop(path: Path) -> None:
    """Removes a folder from a mirror whose address has it no longer."""
    if isinstance(path, Mirrored):
        shutil.rmtree(path, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Makes a folder of a mirror, which another machine's may not have yet."""
    if isinstance(path, Mirrored):
        path.mkdir(parents=True, exist_ok=True)


def temporary_in(folder: Path) -> Path:
    """A new folder of a temporary name, in a folder that may be mirrored."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=folder)).name


def _download(path: Mirrored, sha256: str | None) -> None:
    temporary = path.with_name(f"{TEMPORARY_PREFIX}fetched-{path.name}")
    if not storage.download(path.url, temporary):
        raise StorageError(f"{path}: was removed while it was fetched; run the same command again")
    _check(temporary, path.url, sha256)
    temporary.replace(path)


def _check(file: Path, url: str, sha256: str | None, size: int | None = None) -> None:
    if size is not None and (not file.exists() or file.stat().st_size != size):
        raise StorageError(f"{url}: {size:,} bytes were put there, and now it is missing or cut; restore it")
    if sha256 is not None and (found := sha256_file(file)) != sha256:
        file.unlink()
        raise StorageError(f"{url}: sha256 {sha256[:12]} was put there, and {found[:12]} came; restore it")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Makes the block the only one of the machine that fetches or gives a path; others wait, and find it done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(_beside(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _noting(path: Path) -> Path:
    return _beside(path, "version")


def _beside(path: Path, kind: str) -> Path:
    """A file about a path, apart from the mirror, so that no folder shows it."""
    folder = scratch() / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / hashlib.sha256(str(path).encode()).hexdigest()[:32]


def _note(path: Path, version: str) -> None:
    """Keeps which object a file is: its version, and the file's own, so that one written since is no longer it."""
    _noting(path).write_text(f"{version} {_state(path)}")


def _is_noted(path: Path, version: str) -> bool:
    try:
        return _noting(path).read_text() == f"{version} {_state(path)}"
    except FileNotFoundError:
        return False


def _state(path: Path) -> str:
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
