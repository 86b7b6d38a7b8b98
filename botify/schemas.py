"""What requests and answers look like: the models that check bodies and that the OpenAPI document is made of."""

from operator import attrgetter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LARGEST_ID = 2**63 - 1

Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class HeardTrack(_Body):
    """A track just heard."""

    track: Id = Field(description="The track just heard.")
    time: Share = Field(description="The share of it that was heard, 0 to 1.")


class ListenerHeardTrack(HeardTrack):
    """A track that a listener just heard."""

    user: Id = Field(description="The listener.")


class HeardTracks(_Body):
    """Tracks that many listeners just heard."""

    requests: list[ListenerHeardTrack] = Field(min_length=1)


class AskedListeners(_Body):
    """Listeners about whom something is asked."""

    users: list[Id] = Field(min_length=1, description="The listeners; one may be named twice.")


class NextTrack(BaseModel):
    """What to play next."""

    user: Id
    track: Id


class Listener(BaseModel):
    """A listener whose session was ended."""

    user: Id


class NextTracks(BaseModel):
    """What to play next, in the order of the requests."""

    responses: list[NextTrack]


class Listeners(BaseModel):
    """Listeners whose sessions were ended, in the order of the requests."""

    responses: list[Listener]


class Track(BaseModel):
    """A record of the catalogue; it may hold more."""

    model_config = ConfigDict(extra="allow")

    track: Id
    artist: str | int


class Problem(BaseModel):
    """Why a request was refused."""

    error: str


class Status(BaseModel):
    """Whether the service can work, and what is amiss."""

    status: str
    problems: list[str] = []
    version: str | None = None


class ArmStatus(BaseModel):
    """An arm of an experiment."""

    name: str
    share: float
    recommender: str


class ExperimentStatus(BaseModel):
    """A running experiment."""

    name: str
    decides: bool
    overrides: int
    arms: list[ArmStatus]


class Experiments(BaseModel):
    """The running experiments and the version of the recommendations."""

    version: str
    created_at: str
    refused: str | None
    experiments: list[ExperimentStatus]


class ListenerArms(BaseModel):
    """A listener's arm in every running experiment."""

    user: Id
    experiments: dict[str, str] = Field(description="The arm by experiment, as in the event log.")


class AssignedArms(BaseModel):
    """The listeners' arms, in the order of the request."""

    assignments: list[ListenerArms]


class Version(BaseModel):
    """The version of the recommendations that is served."""

    version: str


Heard = tuple[int, int, float]
"""A checked request: the listener, the track just heard, and the share of it."""


class BodyError(ValueError):
    """A body that is not what it must be."""


_validate_one = HeardTrack.__pydantic_validator__.validate_json
_validate_many = HeardTracks.__pydantic_validator__.validate_json
_validate_asked = AskedListeners.__pydantic_validator__.validate_json
_heard_of = attrgetter("user", "track", "time")
_QUOTES_OF_ONE = 4  # of two keys; there are no texts
_QUOTES_OF_MANY = 2
_QUOTES_OF_EACH = 6
_QUOTES_OF_ASKED = 2


def read_one(body: bytes, user: int, tracks: int) -> Heard:
    """Reads `{"track", "time"}`.

    Args:
        body: The body.
        user: The listener.
        tracks: Tracks of the catalogue.

    Raises:
        BodyError: The body is something else, or there is no such track.
    """
    try:
        found = _validate_one(body)
    except ValidationError as error:
        raise BodyError(_explain(error)) from None
    _check_keys(body, _QUOTES_OF_ONE)
    if found.track >= tracks:
        raise BodyError(f"track: {found.track} is unknown; the catalogue has 0..{tracks - 1}")
    if user > LARGEST_ID:
        raise BodyError(f"user: {user} is too large; ids are at most {LARGEST_ID}")
    return user, found.track, found.time


def read_many(body: bytes, tracks: int, limit: int) -> list[Heard]:
    """Reads `{"requests": [{"user", "track", "time"}…]}`, at most `limit` of them.

    Raises:
        BodyError: The body is something else, or there is no such track.
    """
    try:
        found = _validate_many(body).requests
    except ValidationError as error:
        raise BodyError(_explain(error)) from None
    _check_keys(body, _QUOTES_OF_MANY + _QUOTES_OF_EACH * len(found))
    if len(found) > limit:
        raise BodyError(f"requests: {len(found)} found, at most {limit} are allowed")
    heard = list(map(_heard_of, found))
    for i, (_, track, _) in enumerate(heard):
        if track >= tracks:
            raise BodyError(f"requests.{i}.track: {track} is unknown; the catalogue has 0..{tracks - 1}")
    return heard


def read_users(body: bytes, limit: int) -> list[int]:
    """Reads `{"users": [user…]}`, at most `limit` of them.

    Raises:
        BodyError: The body is something else.
    """
    try:
        users: list[int] = _validate_asked(body).users
    except ValidationError as error:
        raise BodyError(_explain(error)) from None
    _check_keys(body, _QUOTES_OF_ASKED)
    if len(users) > limit:
        raise BodyError(f"users: {len(users)} found, at most {limit} are allowed")
    return users


def _check_keys(body: bytes, quotes: int) -> None:
    """Refuses a key given twice: every key is known and there are no texts, so that counting quotes tells."""
    if body.count(b'"') != quotes:
        raise BodyError("a key is given twice")


def _explain(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where[:100]}{': ' if where else ''}{detail['msg'][:200]}"
