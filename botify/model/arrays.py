"""Arrays from files that are not trusted: no pickle, nothing packed, nothing larger than the file that it comes in."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from botify.errors import ModelError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: Path, names: Iterable[str], what: str) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays of an `.npz` as `numpy.savez` writes it.

    A packed file may grow a thousandfold, and a header may claim any shape; both are looked at before memory is taken.

    Args:
        path: The file.
        names: The arrays' names.
        what: What the file is, for the message.

    Raises:
        ModelError: The file is damaged, lacks an array, or is not of this kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_array(archive, f"{name}.npy") for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not {what} of ours ({error})") from None


def _read_array(archive: zipfile.ZipFile, member: str) -> npt.NDArray[Any]:
    entry = archive.getinfo(member)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member} is packed")
    with archive.open(entry) as file:
        _check_size(file, member, entry.file_size)
    with archive.open(entry) as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _check_size(file: IO[bytes], member: str, size: int) -> None:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{member} has version {version}")
    shape, _, dtype = _HEADERS[version](file)
    claimed = dtype.itemsize
    for length in shape:  # Python's numbers do not overflow
        claimed *= length
    if min((0, *shape)) < 0 or claimed > size:
        raise ValueError(f"{member} claims the shape {shape} of {dtype} in {size} bytes")
