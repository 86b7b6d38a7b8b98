"""Exported recommendations, and what their manifest says."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import numpy as np

from analysis.errors import AnalysisError
from analysis.logs.field_types import Id
from analysis.offpolicy.policies import Serving
from analysis.store import MANIFEST, number_of
from analysis.validation import NO_TRACK
from looplib.arrays import IntArray
from looplib.checksums import unseal
from looplib.untrusted import open_untrusted, read_untrusted

_IN_ORDER = ":in-order"
_LONGEST_MANIFEST = 2**20


@dataclass(frozen=True)
class Recommendations:
    """Lists of recommendations."""

    name: str  # in the report
    file: Path
    serving: Serving
    # what is read of the manifest beside them; empty without one
    manifest: Mapping[str, Any]
    users: IntArray  # the listeners, ascending; shape (lists,)
    # their lists, best first, filled up with -1; shape (lists, length of the longest)
    tracks: IntArray


class _Manifest(TypedDict, total=False):
    files: dict[str, dict[str, Any]]  # by name
    model: str
    data: dict[str, Any]  # what the lists were learned from
    split: Any  # how sessions were held out of that
    seed: Any  # of the split


class _Line(msgspec.Struct):
    user: Id | str
    tracks: list[Id | str]


_DECODER = msgspec.json.Decoder(_Line)


def read_recommendations(text: str) -> Recommendations:
    """Read lines of `{"user": 7, "tracks": [best first]}`, and the manifest beside them, if any.

    A text id becomes the number that stands for it in stores.

    Args:
        text: [NAME=]FILE[:in-order]; without a name it is the manifest's model, or the name of the
            file.

    Raises:
        AnalysisError: A file cannot be read or used; the message names the line.
    """
    serving: Serving = "in-order" if text.endswith(_IN_ORDER) else "random"
    text = text.removesuffix(_IN_ORDER)
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        name = ""
        path = text
    file = Path(path)
    manifest = _read_manifest(file.parent / MANIFEST)
    lines = _decode_lines(file, manifest.get("files", {}).get(file.name, {}))
    lists: dict[int, list[int]] = {}
    for line in lines:
        user = _number(line.user)
        listed = [_number(track) for track in line.tracks]
        if user in lists or len(set(listed)) < len(listed):
            problem = "more than one list, or a track more than once"
            raise AnalysisError(f"{file}: user {line.user}: {problem}")
        lists[user] = listed
    users = np.array(sorted(lists), np.int64)
    in_order = (lists[user] for user in users.tolist())
    ranks = [*zip_longest(*in_order, fillvalue=NO_TRACK)]
    tracks = np.array(ranks, np.int64).reshape(-1, len(users)).T
    return Recommendations(
        name or manifest.get("model") or file.stem,
        file,
        serving,
        manifest,
        users,
        tracks,
    )


def _read_manifest(manifest: Path) -> _Manifest:
    if not manifest.exists():
        return {}
    content = read_untrusted(manifest, _LONGEST_MANIFEST, error=AnalysisError)
    try:
        return msgspec.convert(unseal(content), _Manifest)
    except (msgspec.ValidationError, ValueError) as error:
        raise AnalysisError(
            f"{manifest}: not a manifest of recommendations, or damaged ({error})"
        ) from None


def _decode_lines(file: Path, facts: Mapping[str, Any]) -> list[_Line]:
    """Decode the lines of a file, once it is what a manifest says of it."""
    shape = '{"user": …, "tracks": […]}'
    lines: list[_Line] = []
    try:
        with open_untrusted(
            file, facts.get("bytes"), sha256=facts.get("sha256"), error=AnalysisError
        ) as text:
            lines.extend(_DECODER.decode(line) for line in text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnalysisError(
            f"{file}: line {len(lines) + 1} is not {shape} ({error})"
        ) from None
    if not lines:
        raise AnalysisError(f"{file}: no line here; lines of {shape} are expected")
    return lines


def _number(original: int | str) -> int:
    return number_of(original) if isinstance(original, str) else original
