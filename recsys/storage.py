"""The one door to fsspec: whole objects below an address such as `s3://bucket/folder`, got and put.

An object is replaced whole or not at all: object stores promise it of a put, and on `file://` it is put beside and
renamed. Credentials, endpoint and region are the file system's own affair; of S3 they come from the environment
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …), from ~/.aws, or from the machine's role.
"""

import asyncio
import errno
import importlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.asyn import get_loop

from looplib.files import TEMPORARY_PREFIX
from recsys.errors import StorageError

# Bound the time that a server which does not answer takes: attempts, and seconds of each.
_ATTEMPTS = 3
_SEND_S = 60.0
_SLOWEST = 100_000  # bytes a second
_S3 = {"connect_timeout": 5, "read_timeout": 15, "retries": {"total_max_attempts": 1}}
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # of the disk here, which has a message of its own
_PACKAGES = {"s3": "'listening-loop[s3]'", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


def is_address(text: str) -> bool:
    """Whether a text is an address rather than a path."""
    return "://" in text


def read(url: str) -> bytes | None:
    """An object's bytes, or None if there is none.

    Raises:
        StorageError: The server does not answer, refuses, or has no such bucket; here and below.
    """
    with _explained(url):
        try:
            return bytes(_files(url).cat_file(url))
        except FileNotFoundError:
            _check_bucket(url)
            return None


def write(url: str, content: bytes) -> None:
    """Puts an object, in place of an earlier one."""
    with _explained(url):
        _put(url, lambda files, name: files.pipe_file(name, content, **_bounded(files, len(content))))


def create(url: str, content: bytes) -> bool:
    """Puts an object if there is none; whether it did."""
    with _explained(url):
        files = _files(url)
        if _is_disk(url):
            files.makedirs(files._parent(url), exist_ok=True)
        try:
            files.pipe_file(url, content, mode="create", **_bounded(files, len(content)))
        except FileExistsError:
            return False
        return True


def upload(file: Path, url: str) -> None:
    """Puts a file's content."""
    with _explained(url):
        _put(url, lambda files, name: files.put_file(str(file), name, **_bounded(files, file.stat().st_size)))


def download(url: str, file: Path) -> bool:
    """Writes an object to a file; False, and no file, if there is none."""
    with _explained(url):
        try:
            _files(url).get_file(url, str(file))
        except FileNotFoundError:
            file.unlink(missing_ok=True)
            return False
        return True


def version(url: str) -> str | None:
    """What changes with an object's content; None if there is no such object."""
    with _explained(url):
        try:
            facts = _files(url).info(url)
        except FileNotFoundError:
            _check_bucket(url)
            return None
    if facts["type"] != "file":
        return None
    return str(facts.get("ETag") or f"{facts.get('mtime') or facts.get('created')}-{facts['size']}")


def modified_s(url: str) -> float | None:
    """When an object was put, in seconds of the server's clock; None if there is none."""
    with _explained(url):
        try:
            return float(_files(url).modified(url).timestamp())
        except FileNotFoundError:
            return None


def sizes(url: str) -> Mapping[str, int]:
    """Bytes of all objects below an address, by name relative to it.

    Raises:
        StorageError: Also if there is no such bucket.
    """
    with _explained(url):
        files = _files(url)
        root = files._strip_protocol(url)
        try:
            found = files.find(url, detail=True)
        except FileNotFoundError:
            _check_bucket(url)
            found = {}
    return {name.removeprefix(root).lstrip("/"): facts["size"] for name, facts in found.items()}


def remove(url: str) -> None:
    """Removes an object, if there is one."""
    with _explained(url), suppress(FileNotFoundError):
        files = _files(url)
        files.rm_file(url, **_bounded(files))


def remove_below(url: str) -> None:
    """Removes all objects below an address."""
    with _explained(url), suppress(FileNotFoundError):
        files = _files(url)
        if files.exists(url):
            files.rm(url, recursive=True, **_bounded(files))


def move(url: str, target: str) -> None:
    """Moves an object, by a copy."""
    with _explained(url):
        files = _files(url)
        if _is_disk(target):
            files.makedirs(target.rpartition("/")[0], exist_ok=True)
        files.copy(url, target, **_bounded(files, files.info(url)["size"]))
        files.rm_file(url, **_bounded(files))


def _bounded(files: Any, size: int = 0) -> dict[str, float]:  # noqa: ANN401  fsspec has no types
    """Of what is sent, how long it may take: the timeouts above are of what comes."""
    return {"timeout": _SEND_S + size / _SLOWEST} if getattr(files, "async_impl", False) else {}


def _put(url: str, put: Any) -> None:  # noqa: ANN401  fsspec has no types
    files = _files(url)
    if not _is_disk(url):
        put(files, url)
        return
    folder, _, name = url.rpartition("/")
    files.makedirs(folder, exist_ok=True)
    put(files, f"{folder}/{TEMPORARY_PREFIX}{name}")
    files.mv(f"{folder}/{TEMPORARY_PREFIX}{name}", url)


def _is_disk(url: str) -> bool:
    return url.startswith(("file://", "local://"))


def _files(url: str) -> Any:  # noqa: ANN401  fsspec has no types
    scheme = url.partition("://")[0]
    options = {"config_kwargs": _S3} if scheme in ("s3", "s3a") else {}
    try:
        files = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ImportError as error:
        package = _PACKAGES.get(scheme, "")
        advice = f"pip install {package}" if package else str(error)
        raise StorageError(f"{url}: on {_here()} the package that reads {scheme}:// is missing; {advice}") from None
    except ValueError:
        raise StorageError(
            f"{url}: nobody knows {scheme}://; a path or an address such as s3://bucket/folder"
        ) from None
    if options:
        files.retries = _ATTEMPTS
        get_loop().set_exception_handler(_leave_out_lost_connections)
    return files


def _leave_out_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Shows what goes wrong in fsspec's loop unseen; a lost connection is told by the call that it breaks off."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def _check_bucket(url: str) -> None:
    """Tells a bucket that is not there from an object that is not."""
    scheme, _, rest = url.partition("://")
    if scheme in ("s3", "s3a") and not _files(url).exists(f"{scheme}://{rest.partition('/')[0]}"):
        raise StorageError(f"{url}: there is no bucket {rest.partition('/')[0]}; create it, or name another")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Makes what a file system says one line each."""
    try:
        yield
    except PermissionError as error:
        raise StorageError(
            f"{url}: {_here()} is refused ({_line(error)}); are the credentials right, and may they read and write?"
        ) from None
    except FileNotFoundError as error:
        raise StorageError(f"{url}: {_here()} does not find it ({_line(error)}); does the bucket exist?") from None
    except _errors() as error:
        if getattr(error, "errno", None) in _OURS and getattr(error, "filename", None):
            raise
        raise StorageError(f"{url}: {_line(error)} (on {_here()}); {_advice(error)}") from None


def _advice(error: BaseException) -> str:
    if "credentials" in str(error).lower():
        return "set them, of S3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws"
    return "does its server run, and is the address right (of S3 AWS_ENDPOINT_URL)? The same command goes on from there"


def _errors() -> tuple[type[BaseException], ...]:
    """What file systems raise beside OSError; not all of it is derived from it."""
    found: list[type[BaseException]] = [OSError, asyncio.TimeoutError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError")):
        with suppress(ImportError):
            found.append(getattr(importlib.import_module(module), name))
    return tuple(found)


def _here() -> str:
    """This machine, which may be a worker's."""
    return socket.gethostname()


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
