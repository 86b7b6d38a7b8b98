"""Exported recommendations: their lists, their manifest, and how they would have been served.

Lists are served as "random" (any track of the list, all equally likely) or "in-order" (the first
one); tracks already heard in the session, the organic one included, are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
import numpy as np

from analysis.errors import AnalysisError
from analysis.logs.field_types import Id
from analysis.offpolicy.logged import LoggedSessions
from analysis.store import MANIFEST, number_of
from analysis.validation import align
from looplib.arrays import NO_TRACK, AnyIntArray, BoolArray, FloatArray, IntArray
from looplib.checksums import unseal
from looplib.untrusted import open_untrusted, read_untrusted

Serving = Literal["random", "in-order"]
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


def serve_lists(
    sessions: LoggedSessions,
    users: AnyIntArray,
    tracks: AnyIntArray,
    serving: Serving,
) -> tuple[FloatArray, BoolArray]:
    """Serve lists at the logged requests.

    Args:
        sessions: The logged sessions.
        users: The user of each list, shape (lists,), in any order; those without a logged session
            are left out, and requests of others are unanswered.
        tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the
            longest).
        serving: How a track of a list is picked.

    Returns:
        Of each event the probability with which its track is recommended, and whether a list has a
        track to recommend.
    """
    lists = align(users, tracks, listeners=sessions.users, depth=tracks.shape[1])
    length = np.count_nonzero(lists != NO_TRACK, axis=1)[sessions.listener]
    # of each event the position in the list of a track heard for the first time in its session
    rank = np.full(len(sessions.track), -1)
    # events are listener by listener
    events = np.bincount(sessions.listener, minlength=len(lists))
    for position, listed in enumerate(lists.T):
        rank[np.repeat(listed, events) == sessions.track] = position
    rank[~sessions.is_fresh] = -1
    is_listed = rank >= 0
    if serving == "random":
        unheard = length - sessions.before(is_listed)
        answered = unheard > 0
        probability = np.zeros(len(unheard))
        np.divide(1.0, unheard, out=probability, where=is_listed & answered)
        return probability, answered
    # the first position of the list that was not heard before each event
    choice = np.zeros(len(rank), dtype=np.int64)
    all_heard = np.ones(len(rank), dtype=np.bool_)
    for position in range(lists.shape[1]):
        all_heard &= sessions.before(rank == position) > 0
        if not all_heard.any():
            break
        choice += all_heard
    is_choice = is_listed & (rank == choice)
    return is_choice.astype(np.float64), choice < length


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
