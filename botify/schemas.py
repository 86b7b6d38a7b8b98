"""Bodies of requests: what they must be, and reading them. `http/openapi.yaml` describes them, and the answers."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

LARGEST_ID = 2**63 - 1

Listening = tuple[int, int, float]
"""A checked request: the listener, the track just heard, and the share of it that was heard, 0..1."""

Numbers = Sequence[int | None]
"""The number that each request has, by which it is known when it is sent again; empty if none has one."""

_values_of = attrgetter("user", "track", "time")


class _Version(msgspec.Struct, forbid_unknown_fields=True):
    version: str | None = None


_read_version = msgspec.json.Decoder(_Version).decode


class BodyError(ValueError):
    """A body that is refused; the message says why."""


class Bodies:
    """Reads the bodies of requests to a service; all methods raise `BodyError` for a body that is something else."""

    def __init__(self, tracks: int, limit: int) -> None:
        """Prepare the readers for a catalogue of so many tracks and at most `limit` requests or listeners in a body."""
        user, track = Annotated[int, Meta(ge=0, le=LARGEST_ID)], Annotated[int, Meta(ge=0, le=tracks - 1)]
        heard = {"track": track, "time": Annotated[float, Meta(ge=0, le=1)], "request": user | msgspec.UnsetType}
        several = Meta(min_length=1, max_length=limit)
        self._read_one = _decoder(heard)
        self._read_many = _decoder({"requests": Annotated[list[_object({"user": user, **heard})], several]})  # type: ignore[misc]  # a type made here
        self._read_users = _decoder({"users": Annotated[list[user], several]})  # type: ignore[valid-type]  # a type made here

    def one(self, body: bytes, user: int) -> tuple[Listening, Numbers]:
        """Read `{"track", "time"}` of a listener, perhaps with the request's number."""
        found = _read(self._read_one, body)
        numbers = () if found.request is msgspec.UNSET else (found.request,)
        _check_keys(body, 2 + len(numbers))
        if user > LARGEST_ID:
            raise BodyError(f"user: {user} is too large; ids are at most {LARGEST_ID}")
        return (user, found.track, found.time), numbers

    def many(self, body: bytes) -> tuple[list[Listening], Numbers]:
        """Read `{"requests": [{"user", "track", "time"}…]}`, each perhaps with its number."""
        requests = _read(self._read_many, body).requests
        numbers = [None if found.request is msgspec.UNSET else found.request for found in requests]
        numbered = [(found.user, number) for found, number in zip(requests, numbers, strict=True) if number is not None]
        _check_keys(body, 1 + 3 * len(requests) + len(numbered))
        if len(set(numbered)) < len(numbered):
            raise BodyError("two requests of a listener have one number")
        return list(map(_values_of, requests)), numbers if numbered else ()

    def users(self, body: bytes) -> list[int]:
        """Read `{"users": [user…]}`."""
        users: list[int] = _read(self._read_users, body).users
        _check_keys(body, 1)
        return users

    def version(self, body: bytes) -> str | None:
        """Read `{"version"}`, which may be left out, or the whole body."""
        found: _Version = _read(_read_version, body or b"{}")
        return found.version


def _object(fields: dict[str, Any]) -> type[msgspec.Struct]:
    optional = {"request": msgspec.UNSET}
    described = [(name, kind, *([optional[name]] if name in optional else [])) for name, kind in fields.items()]
    return msgspec.defstruct("Body", described, forbid_unknown_fields=True)


def _decoder(fields: dict[str, Any]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(_object(fields)).decode


def _read(decode: Callable[[bytes], Any], body: bytes) -> Any:  # noqa: ANN401  a type made in `Bodies`
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)[:300]) from None


def _check_keys(body: bytes, keys: int) -> None:
    """Refuse a key given twice: every key is known and no value is a text, so counting quotes is enough."""
    if body.count(b'"') != 2 * keys:
        raise BodyError("a key is given twice")
