"""Exported recommendations: the lists, what their manifest says, and the scores that their factors give."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from analysis.errors import AnalysisError
from analysis.logs.reader import LARGEST_ID
from analysis.validation.lists import NO_TRACK
from looplib.arrays import FloatArray, IntArray

MANIFEST = "manifest.json"
FACTORS = "factors.npz"
_FACTORS = ("users", "user_factors", "tracks", "item_factors")

Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]


@dataclass(frozen=True)
class Recommendations:
    """Lists of recommendations.

    Attributes:
        name: What they are called in the report.
        file: Where they were read.
        users: The listeners, ascending; shape (lists,).
        tracks: Their lists, best first, filled up with -1; shape (lists, length of the longest).
        scores: Of each track, of the shape of `tracks`; None without factors.
    """

    name: str
    file: Path
    users: IntArray
    tracks: IntArray
    scores: FloatArray | None

    @property
    def manifest(self) -> Path:
        """The manifest beside them, whether or not there is one."""
        return self.file.parent / MANIFEST


def read_recommendations(text: str, *, with_scores: bool = True) -> Recommendations:
    """Reads lines of `{"user": 7, "tracks": [track ids, best first]}`, and the factors beside them if there are any.

    Args:
        text: A file, or `NAME=FILE`; without a name it is the manifest's model, or the name of the file.
        with_scores: Whether factors are looked for.

    Raises:
        AnalysisError: A file cannot be read or used; the message names the line.
    """
    name, file = _named(text)
    users, lists = _read_lists(file)
    factors = file.parent / FACTORS
    scores = _read_scores(factors, users, lists) if with_scores and factors.is_file() else None
    return Recommendations(name or _model_of(file) or file.stem, file, users, lists, scores)


def learned_from(manifest: Path, source_digests: Sequence[str]) -> bool:
    """Whether a manifest says that its lists were learned from all sessions of exactly these logs.

    Args:
        manifest: May be missing.
        source_digests: The xxh3_128 of every log, in hex.
    """
    digest = xxhash.xxh3_128_hexdigest("\n".join(sorted(set(source_digests))).encode())
    data = _facts_of(manifest).get("data", {})
    return bool(data.get("store") == digest) and data.get("learned_from", "all") == "all"


def _named(text: str) -> tuple[str, Path]:
    name, separator, file = text.partition("=")
    return (name, Path(file)) if separator and not Path(text).exists() else ("", Path(text))


def _model_of(file: Path) -> str:
    return str(_facts_of(file.parent / MANIFEST).get("model") or "")


def _facts_of(manifest: Path) -> dict[str, Any]:
    if not manifest.is_file():
        return {}
    try:
        content = orjson.loads(manifest.read_bytes())
    except orjson.JSONDecodeError as error:
        raise AnalysisError(f"{manifest}: not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("data", {}), dict):
        raise AnalysisError(f"{manifest}: not a manifest of recommendations")
    return content


class _Line(msgspec.Struct):
    user: Id
    tracks: list[Id]


def _read_lists(file: Path) -> tuple[IntArray, IntArray]:
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    try:
        with file.open("rb") as text:
            for number, line in enumerate(text, start=1):
                lines.append(_decode(decoder, line, file, number))
    except OSError as error:
        raise AnalysisError(f"{file}: cannot be read ({error.strerror})") from None
    if not lines:
        raise AnalysisError(f'{file}: no list here; lines of {{"user", "tracks"}} are expected')
    lines.sort(key=lambda one: one.user)
    tracks = np.full((len(lines), max(1, *(len(one.tracks) for one in lines))), NO_TRACK, dtype=np.int64)
    for row, one in zip(tracks, lines, strict=True):
        row[: len(one.tracks)] = one.tracks
    return np.array([one.user for one in lines], dtype=np.int64), tracks


def _decode(decoder: "msgspec.json.Decoder[_Line]", line: bytes, file: Path, number: int) -> _Line:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise AnalysisError(f'{file}: line {number} is not {{"user": …, "tracks": […]}} ({error})') from None


def _read_scores(file: Path, users: IntArray, lists: IntArray) -> FloatArray:
    """The scalar products of the listeners' and the tracks' factors; 0 for one without factors."""
    try:
        with np.load(file) as content:
            factors = {name: content[name] for name in _FACTORS}
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise AnalysisError(f"{file}: no {', '.join(_FACTORS)} to be read here ({error})") from None
    of_users = _rows_of(factors["users"], factors["user_factors"], users)
    return np.stack(
        [
            _rows_of(factors["tracks"], factors["item_factors"], listed) @ of_user
            for of_user, listed in zip(of_users, lists, strict=True)
        ]
    ).astype(np.float64)


def _rows_of(ids: IntArray, factors: npt.NDArray[np.floating[Any]], wanted: IntArray) -> npt.NDArray[np.floating[Any]]:
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where((ids[place] == wanted)[:, None], factors[place], 0)
