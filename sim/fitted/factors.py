"""Reads what a fit starts from: the factors of an export, and a catalogue's texts."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import orjson

from looplib.arrays import FloatArray
from sim.errors import InteractionsError

FACTORS_FILE = "factors.npz"
_CURRENT = "current"
_ARRAYS = ("users", "tracks", "item_factors")


@dataclass(frozen=True)
class Factors:
    """Ids, and the tracks' factors.

    Attributes:
        users: The users' ids.
        tracks: The tracks' ids.
        item_factors: (tracks, factors).
    """

    users: list[int] | list[str]
    tracks: list[int] | list[str]
    item_factors: FloatArray


@dataclass(frozen=True)
class Texts:
    """What a catalogue says of tracks, in the factors' order."""

    artists: Sequence[str | int]
    titles: Sequence[str | int]


def find_factors(export: Path) -> Path:
    """The file of factors of a published version, or of the current one of a folder of versions.

    Raises:
        InteractionsError: There is none.
    """
    for folder in (export, export / _CURRENT):
        if (folder / FACTORS_FILE).is_file():
            return folder / FACTORS_FILE
    raise InteractionsError(f"{export}: no {FACTORS_FILE} here, nor in {_CURRENT}/; name a folder of recsys.export")


def read_factors(path: Path) -> Factors:
    """Reads a file of factors.

    Raises:
        InteractionsError: It is damaged, or its arrays do not go together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if missing := [name for name in _ARRAYS if name not in arrays]:
                raise InteractionsError(f"{path}: no {', '.join(missing)} in it")
            users, tracks, factors = (arrays[name] for name in _ARRAYS)
    except OSError as error:
        raise InteractionsError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InteractionsError(f"{path}: damaged, not a file of NumPy arrays ({error})") from None
    for name, ids in (("users", users), ("tracks", tracks)):
        if ids.ndim != 1 or ids.dtype.kind not in "iuU" or not len(ids) or len(np.unique(ids)) < len(ids):
            raise InteractionsError(f"{path}: {name}: different ids are expected, found {ids.dtype} {ids.shape}")
    if factors.ndim != 2 or factors.dtype.kind != "f" or len(factors) != len(tracks) or not factors.shape[1]:
        raise InteractionsError(
            f"{path}: item_factors: floats ({len(tracks)}, factors) expected, found {factors.dtype} {factors.shape}"
        )
    finite = np.isfinite(factors).all(axis=1)
    if not finite.all():
        raise InteractionsError(
            f"{path}: the factors of track {tracks[np.argmin(finite)]} hold NaN or infinite numbers"
        )
    return Factors(users.tolist(), tracks.tolist(), factors.astype(np.float64))


def read_texts(path: Path, tracks: Sequence[int] | Sequence[str]) -> Texts:
    """Reads artist and title of some tracks from a catalogue, which may hold more.

    Raises:
        InteractionsError: The file cannot be read, a line is torn, or a track is missing.
    """
    wanted = {str(track) for track in tracks}
    found: dict[str, tuple[str | int, str | int]] = {}
    try:
        with path.open("rb") as file:
            for line, content in enumerate(file, start=1):
                record = _read_record(content, f"{path}:{line}")
                if (track := str(record["track"])) in wanted:
                    found[track] = (record["artist"], record.get("title") or track)
    except OSError as error:
        raise InteractionsError(f"{path}: cannot be read ({error.strerror})") from None
    if missing := [track for track in tracks if str(track) not in found]:
        raise InteractionsError(f"{path}: {len(missing):,} tracks of the factors are not in it, {missing[0]!r} for one")
    rows = [found[str(track)] for track in tracks]
    return Texts([artist for artist, _ in rows], [title for _, title in rows])


def unknown_texts(tracks: Sequence[int] | Sequence[str]) -> Texts:
    """Every track by an artist of its own, so that no hearing is shortened for the artist's sake."""
    return Texts([f"artist of {track}" for track in tracks], [str(track) for track in tracks])


def _read_record(content: bytes, where: str) -> dict[str, Any]:
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InteractionsError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict) or "track" not in record or type(record.get("artist")) not in (str, int):
        raise InteractionsError(f'{where}: an object with "track" and "artist" is expected')
    if type(record.get("title")) not in (str, int, NoneType):
        raise InteractionsError(f"{where}: title: a text is expected")
    return record
