"""Where a store or a run is: a path, or an address such as `s3://bucket/folder` with its mirror on this machine's disk.

Whatever reads and writes works on the mirror, by a `Mirrored` path; `recsys.mirror` fetches and gives. On its way to a
worker such a path becomes its address, and there the path of that machine's mirror: machines need no folder in common.

A mirror is a cache: removed while nothing runs, it is fetched again. It lies in the folder that LISTENING_LOOP_SCRATCH
names, or in the user's cache folder; the processes of a machine may share it::

    <scratch>/<scheme>-<digest of the endpoint>/<bucket>/<folder>/…
"""

import hashlib
import os
from pathlib import Path, PosixPath

from recsys import storage
from recsys.errors import StorageError

SCRATCH = "LISTENING_LOOP_SCRATCH"
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
    if isinstance(text, Path):
        return text
    if not storage.is_address(text):
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
