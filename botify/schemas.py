"""Bodies of requests: what they must be, and reading them. `openapi.yaml` describes them, and the answers."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from botify.model.catalogue import LARGEST_ID, Catalogue, Id, WholeNumber

LONGEST_ID = 512  # characters of a listener's id
_LONGEST_NUMBER = 19  # digits

Listening = tuple[Id, int, float]
"""A checked request: the listener, the number of the track just heard, and the share of it that was heard, 0..1."""

Numbers = Sequence[int | None]
"""The number that each request has, by which it is known when it is sent again; empty if none has one."""

_values_of = attrgetter("user", "track", "time")


class BodyError(ValueError):
    """A body that is refused; the message says why."""


class Bodies:
    """Reads the bodies of requests to a service; all methods raise `BodyError` for a body that is something else."""

    def __init__(self, catalogue: Catalogue, limit: int, *, text_users: bool) -> None:
        """Prepare the readers for a catalogue, listeners of one kind, and at most `limit` requests or listeners."""
        self.text_users, self._text_tracks, self.catalogue = (
            text_users,
            catalogue.is_text,
            catalogue,
        )
        user: Any = (
            Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
            if text_users
            else WholeNumber
        )
        time, number = (
            Annotated[float, Meta(ge=0, le=1)],
            WholeNumber | msgspec.UnsetType,
        )
        heard = [
            ("track", catalogue.id_type),
            ("time", time),
            ("request", number, msgspec.UNSET),
        ]
        several = Meta(min_length=1, max_length=limit)
        self._one = _object(heard)
        self._many = _object(
            [("requests", Annotated[list[_object([("user", user), *heard])], several])]
        )  # type: ignore[misc]  # a type made here
        self._users = _object([("users", Annotated[list[user], several])])
        self._version = _object([("version", str | None, None)])

    def user(self, text: str) -> Id | None:
        """Read a listener's id from the end of a path; None where it is none."""
        user = _id_of(text, is_text=self.text_users)
        if isinstance(user, int) and user > LARGEST_ID:
            raise BodyError(f"user: {user} is too large; ids are at most {LARGEST_ID}")
        if isinstance(user, str) and len(user) > LONGEST_ID:
            raise BodyError(
                f"user: {len(user)} characters; ids have at most {LONGEST_ID}"
            )
        return user

    def track(self, text: str) -> int | None:
        """Read the number of a track from its id at the end of a path; None where the catalogue lacks it."""
        track = _id_of(text, is_text=self.catalogue.is_text)
        return None if track is None else self.catalogue.number(track)

    def one(self, body: bytes, user: Id) -> tuple[Listening, Numbers]:
        """Read `{"track", "time"}` of a listener, perhaps with the request's number."""
        found = _read(self._one, body)
        numbers = () if found.request is msgspec.UNSET else (found.request,)
        _check_keys(body, 2 + len(numbers) + self._text_tracks)
        track = self._number(found.track) if self.catalogue.numbers else found.track
        return (user, track, found.time), numbers

    def many(self, body: bytes) -> tuple[list[Listening], Numbers]:
        """Read `{"requests": [{"user", "track", "time"}…]}`, each perhaps with its number."""
        requests = _read(self._many, body).requests
        numbers = [
            None if found.request is msgspec.UNSET else found.request
            for found in requests
        ]
        numbered = [
            (found.user, number)
            for found, number in zip(requests, numbers, strict=True)
            if number is not None
        ]
        _check_keys(
            body,
            1
            + (3 + self.text_users + self._text_tracks) * len(requests)
            + len(numbered),
        )
        if len(set(numbered)) < len(numbered):
            raise BodyError("two requests of a listener have one number")
        heard: list[Listening] = list(map(_values_of, requests))
        if self.catalogue.numbers:
            heard = [(user, self._number(track), time) for user, track, time in heard]
        return heard, numbers if numbered else ()

    def users(self, body: bytes) -> list[Id]:
        """Read `{"users": [user…]}`."""
        users: list[Id] = _read(self._users, body).users
        _check_keys(body, 1 + self.text_users * len(users))
        return users

    def version(self, body: bytes) -> str | None:
        """Read `{"version"}`, which may be left out, or the whole body."""
        version: str | None = _read(self._version, body or b"{}").version
        return version

    def _number(self, track: Id) -> int:
        number = self.catalogue.number(track)
        if number is None:
            raise BodyError(
                f"track {str(track)[:100]!r} is unknown; the catalogue has {len(self.catalogue):,} others"
            )
        return number


def _id_of(text: str, *, is_text: bool) -> Id | None:
    """Read an id at the end of a path, whose bytes were decoded as UTF-8."""
    if is_text:
        if "\ufffd" in text:  # in place of what could not be decoded
            raise BodyError(f"{text[:100]} is not UTF-8")
        return text
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None


def _object(fields: list[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Body", fields, forbid_unknown_fields=True)


def _read(kind: type[msgspec.Struct], body: bytes) -> Any:  # noqa: ANN401  a type made in `Bodies`
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)[:300]) from None


def _check_keys(body: bytes, texts: int) -> None:
    """Refuse a key given twice: the number of keys and of texts as values is known, so counting quotes is enough."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') != 2 * texts:
        raise BodyError("a key is given twice")
