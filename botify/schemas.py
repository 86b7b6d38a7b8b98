"""Read and check the bodies of requests.

`openapi.yaml` describes them, and the answers.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct
from werkzeug.datastructures import MultiDict

from botify import limits
from botify.errors import BodyError
from botify.model.catalogue import Catalogue, Id, WholeNumber
from looplib.arrays import NO_TRACK
from looplib.event_fields import EVENT_FIELDS, LARGEST_ID
from looplib.memory import turn

LONGEST_ID = 512  # characters
MOST_TRACKS = 1000  # tracks of a list, and tracks that a request may name
MOST_NEXT = 100  # tracks of a list beside the next track

_TextId = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
# Types of the fields that clients may send, beside ids.
_VALUES: Mapping[str, Any] = {
    "share": Annotated[float, Meta(ge=0, le=1)],
    "number": WholeNumber,
    "name": _TextId,
    "text": Annotated[str, Meta(max_length=LONGEST_ID)],
}


class Listening(NamedTuple):
    """A request: who has just heard which track, and how much of it."""

    user: Id
    track: int  # its number in the catalogue, or `NO_TRACK`
    time: float  # share that was heard, 0..1
    exclude: frozenset[int] = frozenset()  # tracks that are not to be answered
    list_length: int | None = (
        None  # tracks that are asked for; None: the next track alone
    )
    logged: Mapping[str, Any] = {}  # fields of the event log, as the client sent them
    is_skip: bool = False  # by the version that is served

    @property
    def played(self) -> int:
        """The track, or the skip of it."""
        return turn(self.track) if self.is_skip else self.track


class Ranking(NamedTuple):
    """A request for a ranked list, without a session."""

    length: int  # tracks that are asked for
    exclude: frozenset[int] = frozenset()  # tracks that are not to be answered
    recommender: str | None = None  # None: the listener's list
    candidates: Sequence[int] | None = None  # numbers of tracks; None: any
    session: Sequence[int] = ()  # heard just before, in order
    titles: int = 0  # whether the tracks' records are asked for


class Bodies:
    """Reader of request bodies, which raises `BodyError` for invalid bodies."""

    def __init__(self, catalogue: Catalogue, *, text_users: bool) -> None:
        """Prepare for a catalogue, and for listeners with text ids or numbers."""
        self.catalogue = catalogue
        self.text_users = text_users
        user: Any = _TextId if text_users else WholeNumber
        track: Any = _TextId if catalogue.is_text else WholeNumber
        values = {**_VALUES, "track": track}
        tracks = Annotated[tuple[track, ...], Meta(max_length=MOST_TRACKS)]
        heard: list[Any] = []
        for field in EVENT_FIELDS:
            if field.from_client and field.type != "listener":
                value = values[field.type]
                optional = (field.name, value | None, None)
                heard.append(optional if field.optional else (field.name, value))
        self._logged = [name for name, *_ in heard]
        count: Any = Annotated[int, Meta(ge=1, le=MOST_NEXT)]
        heard += [("exclude", tracks, ()), ("n", count | None, None)]
        request: Any = _make_object([("user", user), *heard])
        requests: Any = list[request]
        users: Any = list[user]
        batch = Meta(min_length=1, max_length=limits.BATCH)
        self._user = user
        self._one = _make_object(heard)
        self._many = _make_object([("requests", Annotated[requests, batch])])
        self._users = _make_object([("users", Annotated[users, batch])])
        length = Annotated[int, Meta(ge=1, le=MOST_TRACKS)]
        named = ("recommender", _TextId | None, None)
        titles = ("titles", Literal[0, 1], 0)
        listed: list[Any] = [("n", length, 10), ("exclude", tracks, ()), titles]
        self._similar = _make_object(listed)
        self._recommend = _make_object([*listed, named])
        ranked = [("user", user), ("candidates", tracks), named]
        self._ranking = _make_object([*ranked, ("session", tracks, ())])

    def user(self, text: str) -> Id:
        """Read a listener's id from a path, decoded; 1e5 is no number here."""
        try:
            user: Id = msgspec.convert(text, self._user, strict=not text.isdigit())
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
            Its number; `NO_TRACK` where the catalogue lacks it.
        """
        try:
            kind = self.catalogue.id_type
            track = msgspec.convert(text, kind, strict=not text.isdigit())
        except msgspec.ValidationError:
            return NO_TRACK
        return self.catalogue.number(track)

    def one(self, body: bytes, user: Id) -> Listening:
        """Read `{"track", "time"}` of a listener, perhaps with `request`, `exclude`, `n`."""
        return self._listening(user, _read(self._one, body))

    def many(self, body: bytes) -> list[Listening]:
        """Read `{"requests": [{"user", "track", "time"}…]}`, with further fields as in `one`."""
        requests = _read(self._many, body).requests
        return [self._listening(request.user, request) for request in requests]

    def users(self, body: bytes) -> list[Id]:
        """Read `{"users": [user…]}`."""
        users: list[Id] = _read(self._users, body).users
        return users

    def query(
        self, arguments: MultiDict[str, str], *, is_similar: bool = False
    ) -> Ranking:
        """Read `n=10&titles=1&recommender=new&exclude=17&exclude=5`.

        A query for similar tracks has no recommender.
        """
        kind = self._similar if is_similar else self._recommend
        document = {**arguments, "exclude": arguments.getlist("exclude")}
        try:
            query: Any = msgspec.convert(document, kind, strict=False)
        except msgspec.ValidationError as error:
            raise BodyError(f"query: {error}") from None
        exclude = frozenset(self.catalogue.find(query.exclude))
        name = arguments.get("recommender")
        return Ranking(query.n, exclude, name, titles=query.titles)

    def ranking(self, body: bytes) -> tuple[Id, Ranking]:
        """Read `{"user", "candidates"}`, perhaps with `recommender` and `session`.

        Returns:
            The listener, and the ranking that is asked for; candidates that the catalogue lacks are
            left out.
        """
        asked = _read(self._ranking, body)
        candidates = self.catalogue.find(dict.fromkeys(asked.candidates))
        ranking = Ranking(
            len(candidates),
            recommender=asked.recommender,
            candidates=candidates,
            session=self.catalogue.find(asked.session),
        )
        return asked.user, ranking

    def _listening(self, user: Id, heard: Any) -> Listening:  # noqa: ANN401  a type made here
        track = self.catalogue.number(heard.track)
        exclude = frozenset(self.catalogue.find(heard.exclude))
        logged = {name: getattr(heard, name) for name in self._logged}
        logged["user"] = user
        return Listening(user, track, heard.time, exclude, heard.n, logged)


def _make_object(fields: list[Any]) -> type[Struct]:
    return msgspec.defstruct("Body", fields, forbid_unknown_fields=True)


def _read(kind: type[Struct], body: bytes) -> Any:  # noqa: ANN401  a type made in `Bodies`
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)[:300]) from None
