"""Between a mirror and its address: what is to be read is fetched first, and what was written is given.

Of any path that is not `Mirrored` nothing is fetched or given, so that all code reads and writes files of this machine.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from looplib.files import TEMPORARY_PREFIX, sha256_file
from recsys import storage
from recsys.errors import StorageError
from recsys.places import Mirrored, scratch

OBJECTS = "objects.json"  # of a folder that was given whole: name to bytes and sha256; put last
_AT_ONCE = 8
_YOUNG_S = 3600.0


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


def hand_over(path: Path) -> None:
    """Puts a file of a mirror to its address, and keeps no copy: another machine is to fetch it."""
    give(path)
    if isinstance(path, Mirrored):
        path.unlink()


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

        def download(name: str, size: int, sha256: str) -> None:
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            storage.download(f"{path.url}/{name}", file)
            _check(file, f"{path.url}/{name}", sha256, size)

        _at_once(download, ((name, *facts) for name, facts in orjson.loads(content).items()))
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
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != OBJECTS]
        names = [file.relative_to(path).as_posix() for file in files]
        table = {name: (file.stat().st_size, sha256_file(file)) for name, file in zip(names, files, strict=True)}
        _at_once(storage.upload, ((path / name, f"{path.url}/{name}") for name in names))
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
        _at_once(fetch, ((path / name,) for name in storage.sizes(path.url)))


def forget_below(path: Path) -> None:
    """Removes a folder, and the objects below its address."""
    shutil.rmtree(path, ignore_errors=True)
    if isinstance(path, Mirrored):
        storage.remove_below(path.url)


def prune(folder: Path) -> None:
    """Removes from a folder of a mirror what its address has no longer; what is young may be on its way there."""
    if not isinstance(folder, Mirrored) or not folder.exists():
        return
    kept = {name.partition("/")[0] for name in storage.sizes(folder.url)}
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # another process prunes too
            if entry.name not in kept and time.time() - entry.stat().st_mtime > _YOUNG_S:
                if entry.is_dir():
                    drop(entry)
                else:
                    entry.unlink()


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


def _at_once(function: Callable[..., object], calls: Iterable[tuple[Any, ...]]) -> None:
    """Makes some calls at a time: most of one is waiting for the server."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda arguments: function(*arguments), calls))


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
