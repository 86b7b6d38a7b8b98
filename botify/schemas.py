"""Bodies of requests: what they must be, and reading them.

`openapi.yaml` describes them, and the answers.
"""

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from werkzeug.datastructures import MultiDict

from botify.model.catalogue import (
    LARGEST_ID,
    UNKNOWN_TRACK,
    Catalogue,
    Id,
    WholeNumber,
)
from botify.rules import Rules

LONGEST_ID = 512  # characters
MOST_TRACKS = 1000  # of a list that is asked for, and that a request may name

_TextId = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class Listening(NamedTuple):
    """A request: who has just heard which track, and how much of it."""

    user: Id
    track: int  # its number in the catalogue, or `UNKNOWN_TRACK`
    time: float  # share that was heard, 0..1
    request: int | None = None  # the client's number of it
    track_id: Id | None = None  # the track's id as it came, for the log
    exclude: frozenset[int] = frozenset()  # tracks that are not to be answered


class BodyError(ValueError):
    """A body or an id in a path that is refused; the message says why."""


class Bodies:
    """Reads what requests to a service hold; raises `BodyError` for anything else."""

    def __init__(self, catalogue: Catalogue, limit: int, *, text_users: bool) -> None:
        """Prepare for a catalogue, listeners of one kind, and batches of a limited size."""
        self.catalogue = catalogue
        self.text_users = text_users
        user: Any = _TextId if text_users else WholeNumber
        track: Any = _TextId if catalogue.is_text else WholeNumber
        tracks = Annotated[tuple[track, ...], Meta(max_length=MOST_TRACKS)]
        heard: list[Any] = [
            ("track", track),
            ("time", _Share),
            ("request", WholeNumber | None, None),
            ("exclude", tracks, ()),
        ]
        request: Any = _make_object([("user", user), *heard])
        requests: Any = list[request]
        users: Any = list[user]
        batch = Meta(min_length=1, max_length=limit)
        self._user = user
        self._one = _make_object(heard)
        self._many = _make_object([("requests", Annotated[requests, batch])])
        self._users = _make_object([("users", Annotated[users, batch])])
        self._version = _make_object([("version", str | None, None)])
        self._wanted = _make_object(
            [
                ("n", Annotated[int, Meta(ge=1, le=MOST_TRACKS)], 10),
                ("exclude", tracks, ()),
                ("boost", dict[track, Annotated[float, Meta(gt=0, le=1e9)]], {}),
            ]
        )

    def user(self, text: str) -> Id:
        """Read a listener's id from a path, decoded."""
        try:
            user: Id = msgspec.convert(text, self._user, strict=False)
        except msgspec.ValidationError:
            kind = f"text of 1 to {LONGEST_ID} characters"
            if not self.text_users:
                kind = f"a whole number from 0 to {LARGEST_ID}"
            raise BodyError(
                f"user: {text[:100]!r} found at the path's end; {kind} is expected"
            ) from None
        return user

    def track(self, text: str) -> int:
        """Read a track's id from a path, decoded.

        Returns:
            Its number; `UNKNOWN_TRACK` where the catalogue lacks it.
        """
        try:
            track = msgspec.convert(text, self.catalogue.id_type, strict=False)
        except msgspec.ValidationError:
            return UNKNOWN_TRACK
        return self.catalogue.number(track)

    def one(self, body: bytes, user: Id) -> Listening:
        """Read `{"track", "time"}` of a listener, perhaps with `request` and `exclude`."""
        return self._listening(user, _read(self._one, body))

    def many(self, body: bytes) -> list[Listening]:
        """Read `{"requests": [{"user", "track", "time"}…]}`, perhaps with more as in `one`."""
        requests = _read(self._many, body).requests
        return [self._listening(request.user, request) for request in requests]

    def users(self, body: bytes) -> list[Id]:
        """Read `{"users": [user…]}`."""
        users: list[Id] = _read(self._users, body).users
        return users

    def wanted(self, query: MultiDict[str, str]) -> tuple[int, Rules]:
        """Read `n=10&exclude=17&boost=5:3`; the last two may be there several times.

        Returns:
            How long a list is asked for, and the rules that hold for it.
        """
        found: dict[str, Any] = dict(query)
        if "exclude" in found:
            found["exclude"] = query.getlist("exclude")
        if "boost" in found:
            boosts = (text.rpartition(":") for text in query.getlist("boost"))
            found["boost"] = {track: by for track, _, by in boosts}
        try:
            wanted: Any = msgspec.convert(found, self._wanted, strict=False)
        except msgspec.ValidationError as error:
            raise BodyError(f"query: {error}") from None
        return wanted.n, Rules.read(wanted.exclude, wanted.boost, self.catalogue)

    def version(self, body: bytes) -> str | None:
        """Read `{"version"}`, which may be left out, or the whole body."""
        version: str | None = _read(self._version, body or b"{}").version
        return version

    def _listening(self, user: Id, heard: Any) -> Listening:  # noqa: ANN401  a type made here
        track = self.catalogue.number(heard.track)
        exclude = Rules.read(heard.exclude, {}, self.catalogue).exclude
        return Listening(user, track, heard.time, heard.request, heard.track, exclude)


def _make_object(fields: list[Any]) -> type[Struct]:
    return msgspec.defstruct("Body", fields, forbid_unknown_fields=True)


def _read(kind: type[Struct], body: bytes) -> Any:  # noqa: ANN401  a type made in `Bodies`
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)[:300]) from None
