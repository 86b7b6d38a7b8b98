"""Turn an address into a folder of this machine: download what is read, upload what a step has finished.

An address is a path, or such as `s3://bucket/folder`. All code reads and writes `Workspace.folder`. A path is its own
folder, and there downloads and uploads do nothing. The folder of any other address is a cache, one on each machine, in
LISTENING_LOOP_SCRATCH or the user's cache folder; removed while nothing runs, it is downloaded again. Credentials,
endpoint and region are the file system's own affair: for S3 the environment, ~/.aws, or the machine's role.
"""

import asyncio
import errno
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import orjson
from fsspec.asyn import get_loop

from looplib.files import TEMPORARY_PREFIX, sha256_file
from looplib.locks import exclusive
from recsys.errors import StorageError

SCRATCH = "LISTENING_LOOP_SCRATCH"
OBJECTS = "objects.json"  # of a folder that was uploaded whole: name to bytes and sha256; uploaded last
# Bound the time that a server which does not answer takes: attempts, and seconds of each.
_S3 = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 15, "retries": {"total_max_attempts": 1}}}
_ATTEMPTS, _SEND_S, _SLOWEST_BYTES_S = 3, 60.0, 100_000
_OWN_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # errors of this machine's disk explain themselves


@dataclass(frozen=True)
class Workspace:
    """A folder of this machine and the address that it belongs to; every method may raise `StorageError`.

    Attributes:
        name: The address as it was given, for messages.
        folder: The local folder; it may not exist yet.
        is_remote: Whether the address is another machine's.
    """

    name: str
    folder: Path
    is_remote: bool

    def __str__(self) -> str:
        """Return the address as it was given."""
        return self.name

    @property
    def address(self) -> str:
        """The address by which a worker opens this workspace, whatever its current folder."""
        return self.name if self.is_remote else str(self.folder.absolute())

    @property
    def on_disk(self) -> tuple[Path, ...]:
        """The folder that workers must see; none where they open the address on a disk of their own."""
        return () if self.is_remote else (self.folder,)

    def sub(self, name: str) -> "Workspace":
        """Return the workspace of a folder in this one."""
        return Workspace(f"{self.name}/{name}", self.folder / name, self.is_remote)

    def download(self, *names: str) -> None:
        """Make files what they are at the address now; those that it has not are removed."""
        if self.is_remote:
            _in_parallel(self._download, names)

    def cached(self, name: str, sha256: str = "") -> Path:
        """Return a file whose content never changes, downloaded unless it is there; with a digest it is checked."""
        if self.is_remote and not (self.folder / name).exists():
            self._download(name, sha256)
        return self.folder / name

    def upload(self, *names: str) -> None:
        """Upload files, several at a time; what makes others visible is uploaded by a later call."""
        if self.is_remote:
            _in_parallel(self._upload, names)

    def evict(self, *names: str) -> None:
        """Remove this machine's copies of files that have been uploaded."""
        if self.is_remote:
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    def delete(self, *names: str) -> None:
        """Delete files, here and at the address."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
            if self.is_remote:
                with opened(f"{self.name}/{name}") as files, suppress(FileNotFoundError):
                    files.rm_file(f"{self.name}/{name}", **send_timeout(files))

    def download_all(self) -> bool:
        """Download a folder that was uploaded whole, every digest checked.

        Returns:
            Whether there is such a folder; if not, there is none on this machine either.
        """
        if not self.is_remote:
            return self.folder.exists()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder.with_name(f".{self.folder.name}.lock")):  # processes of a machine download it once
            content = self.read(OBJECTS)
            table = self.folder / OBJECTS
            if content is None or not table.exists() or table.read_bytes() != content:
                shutil.rmtree(self.folder, ignore_errors=True)
            if content is not None and not table.exists():
                _in_parallel(lambda item: self._download(item[0], item[1][1]), orjson.loads(content).items())
                table.write_bytes(content)
        return content is not None

    def upload_all(self) -> None:
        """Upload a whole folder; the table of its objects goes last and makes it visible."""
        if self.is_remote:
            files = {name: self.folder / name for name in _local_sizes(self.folder) if name != OBJECTS}
            table = {name: (file.stat().st_size, sha256_file(file)) for name, file in files.items()}
            self.upload(*files)
            (self.folder / OBJECTS).write_bytes(orjson.dumps(table, option=orjson.OPT_INDENT_2))
            self.upload(OBJECTS)

    def delete_all(self) -> None:
        """Delete the folder, here and at the address."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.is_remote:
            with opened(self.name) as files, suppress(FileNotFoundError):
                if files.exists(self.name):
                    files.rm(self.name, recursive=True, **send_timeout(files))

    def move(self, name: str, target: "Workspace") -> None:
        """Move a file, or of a path a folder too, to another workspace."""
        if (self.folder / name).exists():
            (target.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).rename(target.folder / name)
        if self.is_remote:
            url = f"{self.name}/{name}"
            with opened(url) as files:
                files.copy(url, f"{target.name}/{name}", **send_timeout(files, files.info(url)["size"]))
                files.rm_file(url, **send_timeout(files))

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of all files at the address, by name relative to it."""
        if not self.is_remote:
            return _local_sizes(self.folder)
        with opened(self.name) as files:
            root = files._strip_protocol(self.name)
            try:
                found = files.find(self.name, detail=True)
            except FileNotFoundError:
                found = {}
            if not found:
                _check_bucket(files, self.name)
        return {name.removeprefix(root).lstrip("/"): facts["size"] for name, facts in found.items()}

    def names(self) -> set[str]:
        """Return the names of files and folders on the first level at the address."""
        if self.is_remote:
            return {name.partition("/")[0] for name in self.sizes()}
        if not self.folder.exists():
            return set()
        if not self.folder.is_dir():
            raise StorageError(f"{self}: a folder is needed, and this is a file")
        return {entry.name for entry in self.folder.iterdir()}

    def read(self, name: str) -> bytes | None:
        """Return the content of a file as it is at the address now; None if there is none."""
        if not self.is_remote:
            return (self.folder / name).read_bytes() if (self.folder / name).exists() else None
        with opened(f"{self.name}/{name}") as files:
            try:
                return bytes(files.cat_file(f"{self.name}/{name}"))
            except FileNotFoundError:
                _check_bucket(files, f"{self.name}/{name}")
                return None

    def _download(self, name: str, sha256: str = "") -> None:
        file, url = self.folder / name, f"{self.name}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=file.parent) as scratch, opened(url) as files:
            try:
                files.get_file(url, f"{scratch}/part")
            except FileNotFoundError:
                _check_bucket(files, url)
                file.unlink(missing_ok=True)
                if sha256:
                    raise StorageError(f"{url}: was uploaded, and now it is missing; restore it") from None
                return
            if sha256 and (found := sha256_file(Path(scratch, "part"))) != sha256:
                raise StorageError(f"{url}: sha256 {sha256[:12]} was uploaded, and {found[:12]} came; restore it")
            Path(scratch, "part").replace(file)

    def _upload(self, name: str) -> None:
        file, url = self.folder / name, f"{self.name}/{name}"
        with opened(url) as files:
            files.put_file(str(file), url, **send_timeout(files, file.stat().st_size))


def open_workspace(address: str | Path) -> Workspace:
    """Return the workspace of a path, or of an address such as s3://bucket/folder.

    Raises:
        StorageError: The address names no bucket.
    """
    scheme, slashes, rest = str(address).removeprefix("file://").partition("://")
    if not slashes:
        return Workspace(scheme, Path(scheme), is_remote=False)
    names = [name for name in rest.split("/") if name]
    if not names or any(name in (".", "..") for name in names):
        raise StorageError(f"{address}: no address of a folder, such as s3://bucket/folder")
    keys = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if scheme == "s3" else ()
    endpoint = next((os.environ[key] for key in keys if os.environ.get(key)), "")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "listening-loop"
    scratch = Path(os.environ.get(SCRATCH) or cache).absolute()
    root = scratch / f"{scheme}-{hashlib.sha256(endpoint.encode()).hexdigest()[:8]}"
    return Workspace(f"{scheme}://{'/'.join(names)}", root.joinpath(*names), is_remote=True)


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """Open the file system of an address; what goes wrong in the block becomes one line that names the address.

    Raises:
        StorageError: In place of the file system's own errors.
    """
    here = socket.gethostname()  # it may be a worker's
    scheme = url.partition("://")[0]
    try:
        files = fsspec.filesystem(scheme, use_listings_cache=False, **(_S3 if scheme in ("s3", "s3a") else {}))
    except ImportError as error:
        advice = "pip install 'listening-loop[s3]'" if scheme == "s3" else error
        raise StorageError(f"{url}: on {here} the package that reads {scheme}:// is missing; {advice}") from None
    except ValueError:
        raise StorageError(f"{url}: {scheme}:// is unknown; a path or an address such as s3://bucket/folder") from None
    if scheme in ("s3", "s3a"):
        files.retries = _ATTEMPTS
        get_loop().set_exception_handler(_leave_out_lost_connections)
    try:
        yield files
    except (StorageError, FileExistsError):
        raise
    except Exception as error:
        if getattr(error, "errno", None) in _OWN_DISK and getattr(error, "filename", None):
            raise
        text = " ".join(str(error).split())
        text = text or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
        raise StorageError(f"{url}: {text} (on {here}); {_advice(error, text)}") from None


def _advice(error: BaseException, text: str) -> str:
    if isinstance(error, PermissionError):
        return "access is refused: are the credentials right, and may they read and write?"
    if isinstance(error, FileNotFoundError):
        return "does the bucket exist?"
    if "credentials" in text.lower():
        return "set them, of S3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws"
    return "does its server run, and is the address right (of S3 AWS_ENDPOINT_URL)? The same command goes on from there"


def _leave_out_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Show errors in fsspec's loop, but for a lost connection: the call that it interrupts reports it."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def _check_bucket(files: Any, url: str) -> None:  # noqa: ANN401  fsspec has no types
    scheme, _, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    if scheme in ("s3", "s3a") and not files.exists(f"{scheme}://{bucket}"):
        raise StorageError(f"{url}: there is no bucket {bucket}; create it, or name another")


def send_timeout(files: Any, size: int = 0) -> dict[str, float]:  # noqa: ANN401  fsspec has no types
    """Return how long sending may take: the timeouts of S3 above concern only what comes."""
    return {"timeout": _SEND_S + size / _SLOWEST_BYTES_S} if getattr(files, "async_impl", False) else {}


def _in_parallel(function: Callable[[Any], object], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(function, items))


def _local_sizes(folder: Path) -> dict[str, int]:
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}
