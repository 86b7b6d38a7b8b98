"""Storage back ends, S3 and others of fsspec: cache the content of an address as a local folder.

A further back end begins at `_file_system`.

An address is a path, or a URL such as `s3://bucket/folder`. All code reads and writes
`Workspace.folder`. A path is its own folder, and there downloads and uploads do nothing. The folder
of any other address is a cache of the machine, in LISTENING_LOOP_SCRATCH or the user's cache
folder; removed while nothing runs, it is downloaded again. The file system finds credentials,
endpoint and region itself: for S3 in the environment, in ~/.aws, or by the machine's role.
"""

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
import orjson
from fsspec.asyn import get_loop
from fsspec.implementations.dirfs import DirFileSystem

from looplib.files import (
    TEMPORARY_PREFIX,
    atomic_write,
    exclusive,
    json_digest,
    remove,
    sha256_file,
    user_cache,
)
from recsys.errors import StorageError

SCRATCH = "LISTENING_LOOP_SCRATCH"
# digests of a folder that was uploaded whole, by name; uploaded last
OBJECTS = "objects.json"
# An upload may take this long, plus the time of its bytes at this speed: the file system's own
# time-outs are meant for downloads.
_SEND_S = 60.0
_SLOWEST_BYTES_S = 100_000
_AT_ONCE = 8
# Bound the time that a server which does not answer takes: attempts, and seconds of each.
_S3_TIMEOUTS = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"total_max_attempts": 1},
}
_ATTEMPTS = 3
# errors of this machine's disk explain themselves
_OWN_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_NO_BUCKET = "bucket does not exist"  # S3's message
_PACKAGE = (
    "an address is a path, or one such as s3://bucket/folder after pip install s3fs, "
    "gs:// after pip install gcsfs"
)
# further settings that name the server of an address
_SERVERS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "STORAGE_EMULATOR_HOST",
)
_SERVER = (
    "does its server run, and are address and credentials right (for S3: AWS_ENDPOINT_URL, "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws)? Run the same command again to go on"
)


@dataclass(frozen=True)
class Workspace:
    """A folder of this machine and its address; every method may raise `StorageError`."""

    name: str  # the address as it was given, for messages
    folder: Path  # it may not exist yet
    is_remote: bool  # the address is another machine's

    def __str__(self) -> str:
        """Name the workspace in a message."""
        return self.name

    @property
    def address(self) -> str:
        """The address by which a worker opens this workspace, whatever its current folder."""
        return self.name if self.is_remote else str(self.folder.absolute())

    @property
    def on_disk(self) -> tuple[Path, ...]:
        """The folder that workers must see; none where each opens the address on its own disk."""
        return () if self.is_remote else (self.folder,)

    def sub(self, name: str) -> "Workspace":
        """Open the workspace of a subfolder."""
        return Workspace(f"{self.name}/{name}", self.folder / name, self.is_remote)

    def files(self) -> set[str]:
        """List all files at the address, by names relative to it."""
        with suppress(FileNotFoundError), open_files(self.address) as files:
            return set(files.find(""))
        return set()

    def names(self) -> set[str]:
        """List the files and folders on the first level at the address."""
        with suppress(FileNotFoundError), open_files(self.address) as files:
            return set(files.ls("", detail=False))
        return set()

    def read(self, name: str) -> bytes | None:
        """Read a file as it is at the address now; None if there is none."""
        with suppress(FileNotFoundError), open_files(self.address, name) as files:
            return bytes(files.cat_file(name))
        return None

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Create a file that is there, whole, and uploaded when the block ends without an error."""
        with atomic_write(self.folder / name) as file:
            yield file
        self.upload(name)

    def download(self, *names: str) -> None:
        """Download files as they are at the address now; remove files that it does not have."""
        if self.is_remote:
            _run_at_once(self._download, names)

    def cached(self, name: str, sha256: str = "") -> Path:
        """Download and check a file that never changes, unless it is there."""
        if self.is_remote and not (self.folder / name).exists():
            self._download(name, sha256)
        return self.folder / name

    def upload(self, *names: str) -> None:
        """Upload files, several at a time; a file that makes others visible needs a later call."""
        if self.is_remote:
            _run_at_once(self._upload, names)

    def evict(self, *names: str) -> None:
        """Remove this machine's copies of uploaded files or folders; "." is all of them."""
        for name in names if self.is_remote else ():
            remove(self.folder / name)

    def delete(self, *names: str) -> None:
        """Delete files or folders, here and at the address."""
        for name in names:
            with suppress(FileNotFoundError), open_files(self.address, name) as files:
                files.rm(name, recursive=True)
        self.evict(*names)

    def download_all(self) -> bool:
        """Download a folder that was uploaded whole, every digest checked.

        Returns:
            Whether there is such a folder; if not, there is none on this machine either.
        """
        if not self.is_remote:
            return self.folder.exists()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # processes of a machine download it once
        with exclusive(self.folder.with_name(f".{self.folder.name}.lock")):
            content = self.read(OBJECTS)
            table = self.folder / OBJECTS
            if content is None or not table.exists() or table.read_bytes() != content:
                self.evict(".")
            if content is not None and not table.exists():
                objects = orjson.loads(content)
                _run_at_once(self._download, objects, objects.values())
                table.write_bytes(content)
        return content is not None

    def upload_all(self) -> None:
        """Upload a whole folder; the table of its objects goes last and makes it visible."""
        if self.is_remote:
            table = {}
            for file in self.folder.rglob("*"):
                if file.is_file() and file.name != OBJECTS:
                    name = file.relative_to(self.folder).as_posix()
                    table[name] = sha256_file(file)
            self.upload(*table)
            (self.folder / OBJECTS).write_bytes(
                orjson.dumps(table, option=orjson.OPT_INDENT_2)
            )
            self.upload(OBJECTS)

    def _download(self, name: str, sha256: str = "") -> None:
        file = self.folder / name
        url = f"{self}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=TEMPORARY_PREFIX, dir=file.parent
        ) as scratch:
            part = Path(scratch, "part")
            try:
                with open_files(self.address, name) as files:
                    files.get_file(name, str(part))
            except FileNotFoundError:
                file.unlink(missing_ok=True)
                if sha256:
                    raise StorageError(
                        f"{url}: was uploaded, and now it is missing; restore it"
                    ) from None
                return
            if sha256 and (digest := sha256_file(part)) != sha256:
                raise StorageError(
                    f"{url}: sha256 {sha256[:12]} was uploaded, and {digest[:12]} came; restore it"
                )
            part.replace(file)

    def _upload(self, name: str) -> None:
        file = self.folder / name
        with open_files(self.address, name) as files:
            limit = (
                {"timeout": _SEND_S + file.stat().st_size / _SLOWEST_BYTES_S}
                if files.fs.async_impl
                else {}
            )
            files.put_file(str(file), name, **limit)


def open_workspace(address: str | Path) -> Workspace:
    """Open the workspace of a path, or of an address such as s3://bucket/folder.

    Raises:
        StorageError: The address is no folder's, or the path is a file's.
    """
    scheme, slashes, rest = str(address).removeprefix("file://").partition("://")
    if not slashes:
        if Path(scheme).is_file():
            raise StorageError(f"{scheme}: a folder is needed, and this is a file")
        return Workspace(scheme, Path(scheme), is_remote=False)
    names = [name for name in rest.split("/") if name]
    if not names or any(name in (".", "..") for name in names):
        raise StorageError(
            f"{address}: not the address of a folder, such as s3://bucket/folder"
        )
    server = [*map(os.environ.get, _SERVERS), fsspec.config.conf.get(scheme)]
    scratch = Path(os.environ.get(SCRATCH) or user_cache()).absolute()
    folder = scratch.joinpath(f"{scheme}-{json_digest(repr(server))[:8]}", *names)
    return Workspace(f"{scheme}://{'/'.join(names)}", folder, is_remote=True)


@contextmanager
def open_files(address: str, name: str = "") -> Iterator[Any]:
    """Open an address's file system for a block about a file; names are relative to the address.

    Raises:
        FileNotFoundError: The block looks for a file that is not there.
        StorageError: In place of the other errors of a file system that is no path's.
    """
    is_remote = "://" in address
    try:
        yield DirFileSystem(address, _file_system(address), skip_instance_cache=True)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        is_expected = isinstance(
            error, (FileNotFoundError, FileExistsError, StorageError)
        )
        is_own_disk = getattr(error, "errno", None) in _OWN_DISK and getattr(
            error, "filename", None
        )
        if not is_remote or (is_expected and _NO_BUCKET not in text) or is_own_disk:
            raise
        here = socket.gethostname()  # it may be a worker's
        advice = _PACKAGE if isinstance(error, (ImportError, ValueError)) else _SERVER
        raise StorageError(
            f"{address}/{name}".rstrip("/") + f": {text} (on {here}); {advice}"
        ) from None


def _run_at_once(function: Callable[..., None], *arguments: Iterable[str]) -> None:
    """Call a function with each argument, or with an element of each list, several at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(function, *arguments))


def _file_system(address: str) -> Any:  # noqa: ANN401  fsspec has no types
    scheme, slashes, _ = address.partition("://")
    if scheme not in ("s3", "s3a"):
        return fsspec.filesystem(
            scheme if slashes else "file", use_listings_cache=False
        )
    files = fsspec.filesystem(
        scheme, use_listings_cache=False, config_kwargs=_S3_TIMEOUTS
    )
    files.retries = _ATTEMPTS
    get_loop().set_exception_handler(_show_bugs)
    return files


def _show_bugs(loop: Any, context: dict[str, Any]) -> None:  # noqa: ANN401  asyncio's
    # the call that a lost connection interrupts reports it
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)
