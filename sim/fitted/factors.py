"""What a fit starts from beside the listening: the factors of an export, and a catalogue's texts."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from looplib.arrays import FloatArray
from sim.errors import InteractionsError
from sim.worlds.files import TitledRecord, read_records

FACTORS_FILE = "factors.npz"
_CURRENT = "current"

Ids = list[int] | list[str]
Texts = list[tuple[str | int, str | int]]  # artist and title of each track


@dataclass(frozen=True)
class Factors:
    """Ids, and the tracks' factors."""

    users: Ids
    tracks: Ids
    item_factors: FloatArray  # (tracks, factors)


def find_factors(export: Path) -> Path:
    """Return the file of factors of a published version, or of the current one of a folder of versions.

    Raises:
        InteractionsError: There is none.
    """
    for folder in (export, export / _CURRENT):
        if (folder / FACTORS_FILE).is_file():
            return folder / FACTORS_FILE
    raise InteractionsError(f"{export}: no {FACTORS_FILE} here, nor in {_CURRENT}/; name a folder of recsys.export")


def read_factors(path: Path) -> Factors:
    """Read a file of factors.

    Raises:
        InteractionsError: It is damaged, or its arrays do not go together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            users, tracks, factors = arrays["users"], arrays["tracks"], arrays["item_factors"]
    except (OSError, ValueError, LookupError, AttributeError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise InteractionsError(f"{path}: not a readable file of NumPy arrays ({error})") from None
    for name, ids in (("users", users), ("tracks", tracks)):
        if ids.ndim != 1 or ids.dtype.kind not in "iuU" or not len(ids) or len(np.unique(ids)) < len(ids):
            raise InteractionsError(f"{path}: {name}: different ids are expected, found {ids.dtype} {ids.shape}")
    if factors.ndim != 2 or factors.dtype.kind != "f" or len(factors) != len(tracks) or not factors.shape[1]:
        expected = f"floats ({len(tracks)}, factors) expected"
        raise InteractionsError(f"{path}: item_factors: {expected}, found {factors.dtype} {factors.shape}")
    finite = np.isfinite(factors).all(axis=1)
    if not finite.all():
        raise InteractionsError(
            f"{path}: the factors of track {tracks[np.argmin(finite)]} hold NaN or infinite numbers"
        )
    return Factors(users.tolist(), tracks.tolist(), factors.astype(np.float64))


def read_texts(path: Path | None, tracks: Sequence[int] | Sequence[str]) -> Texts:
    """Read artists and titles of some tracks from a catalogue, which may hold more.

    Without a catalogue every track is by an artist of its own, so that no hearing is shortened for the artist's sake.

    Raises:
        WorldError: The file cannot be read, or a line is torn.
        InteractionsError: A track is missing.
    """
    if path is None:
        return [(f"artist of {track}", str(track)) for track in tracks]
    records = {str(record.track): record for _, record in read_records(path, TitledRecord)}
    if missing := [track for track in tracks if str(track) not in records]:
        raise InteractionsError(f"{path}: {len(missing):,} tracks of the factors are not in it, {missing[0]!r} for one")
    found = (records[str(track)] for track in tracks)
    return [(record.artist, record.title or str(record.track)) for record in found]
