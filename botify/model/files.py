"""Reading files of a published version, which others wrote: regular ones, in their folder, of a bounded size."""

import os
import stat
from io import BufferedReader
from pathlib import Path

from botify.errors import ModelError


def open_untrusted(path: Path, longest: int) -> BufferedReader:
    """Open a file for reading, without waiting: a FIFO, a device or a link out of the folder is refused.

    Args:
        path: The file.
        longest: Bytes that it may have.

    Raises:
        ModelError: The file cannot be opened or is refused.
    """
    try:
        if path.resolve(strict=True).parent != path.parent.resolve():
            raise ModelError(f"{path}: a link that leads out of the version's folder")
        file = open(path.resolve(), "rb", opener=_open_now)  # noqa: SIM115  Path.open takes no opener
    except (OSError, RuntimeError) as error:  # the latter is a loop of links
        raise ModelError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    size = os.fstat(file.fileno()).st_size
    if size > longest:
        file.close()
        raise ModelError(f"{path}: {size} bytes found, at most {longest} are read")
    return file


def _open_now(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("not a regular file")
