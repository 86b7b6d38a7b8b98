"""Exported recommendations: the lists, what their manifest says, and the scores that their factors give."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.ab.tables import Sources
from analysis.errors import AnalysisError
from analysis.logs.files import digest
from analysis.logs.lines import Id
from analysis.store import content_digest, number_of
from analysis.validation.lists import NO_TRACK
from looplib.arrays import FloatArray, IntArray
from looplib.checksums import unseal
from looplib.untrusted import open_untrusted, read_untrusted

MANIFEST = "manifest.json"
FACTORS = "factors.npz"
_LONGEST_MANIFEST = 2**20
_ARRAYS = ("users", "user_factors", "tracks", "item_factors")


@dataclass(frozen=True)
class Recommendations:
    """Lists of recommendations."""

    name: str  # in the report
    file: Path
    manifest: Mapping[str, Any]  # the content of the manifest beside them; empty without one
    users: IntArray  # the listeners, ascending; shape (lists,)
    tracks: IntArray  # their lists, best first, filled up with -1; shape (lists, length of the longest)
    scores: FloatArray | None  # of each track, of the shape of `tracks`; None without factors


class _Line(msgspec.Struct):
    user: Id | str
    tracks: list[Id | str]


def read_recommendations(text: str) -> Recommendations:
    """Read lines of `{"user": 7, "tracks": [track ids, best first]}`, and the factors beside them if there are any.

    A text id becomes the number that stands for it in stores.

    Args:
        text: A file, or `NAME=FILE`; without a name it is the manifest's model, or the name of the file.

    Raises:
        AnalysisError: A file cannot be read or used; the message names the line.
    """
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        name, path = "", text
    file = Path(path)
    manifest = _read_manifest(file.parent / MANIFEST)
    with _open(file, manifest) as lists:
        users, tracks = _read_lists(file, lists)
    scores, factors = None, file.parent / FACTORS
    if factors.is_file():
        with _open(factors, manifest) as arrays:
            scores = _read_scores(arrays, users, tracks)
    return Recommendations(name or manifest.get("model") or file.stem, file, manifest, users, tracks, scores)


def learned_from(manifest: Mapping[str, Any], sources: Sources) -> bool:
    """Return whether a manifest says that its lists were learned from all of these sources."""
    data = manifest.get("data", {})
    if "store" not in data or data.get("learned_from", "all") != "all":
        return False
    digests = {source.digest for store in sources.stores for source in store.manifest.sources}
    digests |= {digest(log) for log in sources.logs}
    return bool(data["store"] == content_digest(digests))


def _read_manifest(manifest: Path) -> dict[str, Any]:
    if not manifest.exists():
        return {}
    try:
        content = unseal(read_untrusted(manifest, _LONGEST_MANIFEST, error=AnalysisError))
    except ValueError as error:
        raise AnalysisError(f"{manifest}: damaged ({error})") from None
    if not isinstance(content.get("data", {}), dict) or not isinstance(content.get("files", {}), dict):
        raise AnalysisError(f"{manifest}: not a manifest of recommendations")
    return content


def _open(file: Path, manifest: Mapping[str, Any]) -> BufferedReader:
    """Open a file, once it is what the manifest says of it, if that knows it."""
    facts = manifest.get("files", {}).get(file.name, {})
    return open_untrusted(file, facts.get("bytes"), sha256=facts.get("sha256"), error=AnalysisError)


def _read_lists(file: Path, text: BufferedReader) -> tuple[IntArray, IntArray]:
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    try:
        lines.extend(decoder.decode(line) for line in text)
    except msgspec.DecodeError as error:
        number = len(lines) + 1
        raise AnalysisError(f'{file}: line {number} is not {{"user": …, "tracks": […]}} ({error})') from None
    if not lines:
        raise AnalysisError(f'{file}: no list here; lines of {{"user", "tracks"}} are expected')
    lists = sorted((_number(line.user), list(map(_number, line.tracks))) for line in lines)
    tracks = np.full((len(lines), max(1, *(len(listed) for _, listed in lists))), NO_TRACK, dtype=np.int64)
    for row, (_, listed) in zip(tracks, lists, strict=True):
        row[: len(listed)] = listed
    return np.array([user for user, _ in lists], dtype=np.int64), tracks


def _number(original: int | str) -> int:
    return number_of(original) if isinstance(original, str) else original


def _read_scores(file: BufferedReader, users: IntArray, lists: IntArray) -> FloatArray:
    """Return the scalar products of the listeners' and the tracks' factors; 0 for one without factors."""
    try:
        with np.load(file) as content:
            factors = {name: content[name] for name in _ARRAYS}
        for name in ("users", "tracks"):
            factors[name] = np.array([_number(original) for original in factors[name].tolist()], dtype=np.int64)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise AnalysisError(f"{file.name}: no {', '.join(_ARRAYS)} to be read here ({error})") from None
    of_users = _rows_of(factors["users"], factors["user_factors"], users)
    scores = [
        _rows_of(factors["tracks"], factors["item_factors"], listed) @ of_user
        for of_user, listed in zip(of_users, lists, strict=True)
    ]
    return np.stack(scores).astype(np.float64)


def _rows_of(ids: IntArray, factors: npt.NDArray[np.floating[Any]], wanted: IntArray) -> npt.NDArray[np.floating[Any]]:
    row = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where((ids[row] == wanted)[:, None], factors[row], 0)
