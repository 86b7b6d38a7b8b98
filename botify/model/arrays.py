"""Read arrays from `.npz` files that are not trusted.

No pickle, nothing compressed, checked against the shapes expected.
"""

import zipfile
from collections.abc import Mapping

import numpy as np

from botify.errors import ModelError
from botify.model.catalogue import user_number
from botify.model.manifest import Version
from botify.model.tracklists import TrackLists, group_tracks
from looplib.arrays import NO_TRACK, AnyArray

# characters; our headers have 118, and a deeply nested header overflows the stack
_LONGEST_HEADER = 200

Arrays = dict[str, AnyArray]


def read_arrays(version: Version, name: str, shapes: Mapping[str, str]) -> Arrays:
    """Read the arrays of an `.npz` that `numpy.savez` wrote; ids are replaced by their numbers.

    Args:
        version: The version; tracks that its catalogue lacks get the number `NO_TRACK`.
        name: The file's name.
        shapes: For each array the kind of its numbers, `i`, `f` (finite), or `track` or `user` for
            ids, and the names of its axes: `"f tracks factors"`. Axes with the same name have the
            same length.

    Raises:
        ModelError: The file does not fit the manifest, or lacks an array.
        Exception: The file is damaged, or an array has another type or an unknown track: NumPy and
            `zipfile` raise many kinds.
    """
    with version.open(name) as file, zipfile.ZipFile(file) as archive:
        lacking = {f"{name}.npy" for name in shapes} - set(archive.namelist())
        if lacking:
            raise ModelError(
                f"{version.folder / name}: lacks {', '.join(sorted(lacking))}, as exports of "
                "earlier versions of this package do; export the run again"
            )
        arrays = {name: _read_array(archive, f"{name}.npy") for name in shapes}
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        kind, *axes = shapes[name].split()
        id_kinds = {"track": "U" if version.catalogue.is_text else "i", "user": "iU"}
        expected = id_kinds.get(kind, kind)
        if array.dtype.kind not in expected or array.ndim != len(axes):
            raise ValueError(
                f"{name} is {array.dtype} {array.shape}, "
                f"expected {expected} with {len(axes)} axes"
            )
        for axis, length in zip(axes, array.shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                raise ValueError(
                    f"{name} is {array.shape}, but there are {lengths[axis]} {axis}"
                )
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite numbers")
        if kind == "user" and array.dtype.kind == "U":
            numbers = [*map(user_number, array.tolist())]
            arrays[name] = np.array(numbers, np.int64)
        elif kind == "track":
            arrays[name] = _track_numbers(name, array, version)
    return arrays


def read_lists(
    arrays: Arrays, ids: str, counts: str, listed: str, values: str | None = None
) -> TrackLists:
    """Put lists together from the arrays of a file.

    Args:
        arrays: With `tracks`, the numbers of the tracks.
        ids: The name of the array of ids.
        counts: The name of the array of how many tracks each id has.
        listed: The name of the array of these, as positions in `tracks`.
        values: The name of the array of a value for each of these.

    Raises:
        ValueError: The lengths of the arrays do not fit.
    """
    lengths, positions = arrays[counts], arrays[listed]
    numbers = arrays["tracks"].astype(np.int32)
    _check_range(listed, positions, len(numbers))
    _check_range(counts, lengths, len(positions) + 1)
    if lengths.sum() != len(positions):
        raise ValueError(
            f"{counts} add up to {lengths.sum()}, not {len(positions)} tracks"
        )
    lengths, tracks = lengths.astype(np.int64), numbers[positions]
    return group_tracks(arrays[ids], lengths, tracks, arrays.get(values or ""))


def _check_range(name: str, numbers: AnyArray, limit: int) -> None:
    """Raise a `ValueError` unless all numbers are in 0..limit-1."""
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < limit):
        raise ValueError(
            f"{name} has {numbers.min()}..{numbers.max()}; allowed is 0..{limit - 1}"
        )


def _track_numbers(name: str, tracks: AnyArray, version: Version) -> AnyArray:
    """Look up the numbers of tracks in the catalogue."""
    catalogue = version.catalogue
    if not catalogue.numbers:
        _check_range(name, tracks, len(catalogue))
        return tracks
    numbers = np.array([*map(catalogue.number, tracks.tolist())], np.int64)
    unknown = tracks[numbers == NO_TRACK]
    if len(unknown) and not version.may_lack:
        raise ValueError(f"{name} has {unknown[0]!r}, which is not in the catalogue")
    return numbers


def _read_array(archive: zipfile.ZipFile, member: str) -> AnyArray:
    entry = archive.getinfo(member)
    if entry.compress_type != zipfile.ZIP_STORED:  # it may grow a thousandfold
        raise ValueError(f"{member} is compressed")
    # NumPy reads in pieces: a header that claims more than the file holds fails before it takes
    # the memory
    with archive.open(entry) as file:
        array: AnyArray = np.lib.format.read_array(
            file, allow_pickle=False, max_header_size=_LONGEST_HEADER
        )
        return array
