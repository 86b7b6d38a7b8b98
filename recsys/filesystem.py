"""Open the file system of a path or an address: a server that does not answer takes little time, an error one line."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.asyn import get_loop
from fsspec.implementations.dirfs import DirFileSystem

from recsys.errors import StorageError

# Bound the time that a server which does not answer takes: attempts, and seconds of each.
_S3_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 15, "retries": {"total_max_attempts": 1}}
_ATTEMPTS = 3
_OWN_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # errors of this machine's disk explain themselves
_NO_BUCKET = "bucket does not exist"  # in the words of S3
_PACKAGE = "an address is a path, or such as s3://bucket/folder after pip install 'listening-loop[s3]'"
_SERVER = "does its server run, and is the address right (of S3 AWS_ENDPOINT_URL)? The same command goes on from there"
_ADVICE = (  # a kind of error, words in its text, and what to do; the first that fits
    ((ImportError, ValueError), "", _PACKAGE),
    (PermissionError, "", "access is refused: are the credentials right, and may they read and write?"),
    (Exception, "credentials", "set them, of S3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws"),
    (Exception, _NO_BUCKET, "create it, or name another"),
    (Exception, "", _SERVER),
)


@contextmanager
def open_files(address: str, name: str = "") -> Iterator[Any]:
    """Open an address's file system for a block that is about a file; names in it are relative to the address.

    Raises:
        FileNotFoundError: The block looks for a file that is not there.
        StorageError: In place of the other errors of a file system that is no path's.
    """
    is_remote = "://" in address
    try:
        yield DirFileSystem(address, _file_system(address), skip_instance_cache=True)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        is_expected = isinstance(error, (FileNotFoundError, FileExistsError, StorageError))
        is_own_disk = getattr(error, "errno", None) in _OWN_DISK and getattr(error, "filename", None)
        if not is_remote or (is_expected and _NO_BUCKET not in text) or is_own_disk:
            raise
        here = socket.gethostname()  # it may be a worker's
        advice = next(advice for kind, words, advice in _ADVICE if isinstance(error, kind) and words in text.lower())
        raise StorageError(f"{address}/{name}".rstrip("/") + f": {text} (on {here}); {advice}") from None


def _file_system(address: str) -> Any:  # noqa: ANN401  fsspec has no types
    scheme, slashes, _ = address.partition("://")
    if scheme not in ("s3", "s3a"):
        return fsspec.filesystem(scheme if slashes else "file", use_listings_cache=False)
    files = fsspec.filesystem(scheme, use_listings_cache=False, config_kwargs=_S3_TIMEOUTS)
    files.retries = _ATTEMPTS

    def show(loop: Any, context: dict[str, Any]) -> None:  # noqa: ANN401  asyncio's
        if not isinstance(context.get("exception"), OSError):  # the call that a lost connection interrupts reports it
            loop.default_exception_handler(context)

    get_loop().set_exception_handler(show)
    return files
