"""Say what the types of `looplib.event_fields` are as JSON, in Python, in DuckDB and in Arrow."""

import json
import re
from functools import cache, reduce
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from looplib.event_fields import EVENT_FIELDS, FieldType

LARGEST_ID = 2**63 - 1
# seconds, to either side of 0; a clock that is set back makes some negative
LONGEST_LATENCY = 1_000_000
_SMALLEST = 5e-324  # above 0

Id = Annotated[int, Meta(ge=0, le=LARGEST_ID)]
TextId = Annotated[str, Meta(min_length=1)]
Message = Literal["next", "last"]
Milliseconds = Annotated[int, Meta(ge=10**11, lt=10**14)]
Share = Annotated[float, Meta(ge=0, le=1)]
Probability = Annotated[float, Meta(gt=0, le=1)]

_CHARACTERS = rb'[^"\\\x00-\x1f]*'
_TEXT = b'"%b"' % _CHARACTERS
_WHOLE = rb"[0-9]+"
_REAL = rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_ARM = b"%b: ?%b" % (_TEXT, _TEXT)
_ARMS = rb"\{(?:%b(?:, ?%b)*)?\}" % (_ARM, _ARM)


class FieldRule(NamedTuple):
    """What a type of field is."""

    values: Any  # the allowed ones, to msgspec
    database: str  # DuckDB's type
    column: pa.DataType
    pattern: bytes  # of the usual JSON values
    # the smallest and largest number, or length of a text, that DuckDB may read
    bounds: tuple[float, float] | None = None


def _whole(values: object, low: int = 0, high: int = LARGEST_ID) -> FieldRule:
    return FieldRule(values, "BIGINT", pa.int64(), _WHOLE, (low, high))


def _real(values: object, low: float, high: float) -> FieldRule:
    return FieldRule(values, "DOUBLE", pa.float64(), _REAL, (low, high))


_TEXT_ID = FieldRule(TextId, "VARCHAR", pa.string(), _TEXT, (1, LARGEST_ID))
_RULES: dict[FieldType, FieldRule] = {
    "message": FieldRule(Message, "VARCHAR", pa.string(), b'"(?:next|last)"'),
    "milliseconds": _whole(Milliseconds, 10**11, 10**14 - 1),
    "listener": _whole(Id),
    "track": _whole(Id),
    "share": _real(Share, 0, 1),
    "seconds": _real(float, -LONGEST_LATENCY, LONGEST_LATENCY),
    "arms": FieldRule(dict[str, str], "VARCHAR", pa.string(), _ARMS),
    "name": _TEXT_ID,
    "text": FieldRule(str, "VARCHAR", pa.string(), _TEXT),
    "probability": _real(Probability, _SMALLEST, 1),
    "number": _whole(Id),
}


class IdKinds(NamedTuple):
    """Which ids of a log are text; the others are whole numbers."""

    users: bool = False
    tracks: bool = False


NUMBERS = IdKinds()
REQUIRED = tuple(field.name for field in EVENT_FIELDS if not field.optional)
USER_KEYS = tuple(field.name for field in EVENT_FIELDS if field.type == "listener")
TRACK_KEYS = tuple(field.name for field in EVENT_FIELDS if field.type == "track")


def rule_of(field_type: FieldType, kinds: IdKinds) -> FieldRule:
    """Return what a type of field is in a log with ids of some kinds."""
    is_text = {"listener": kinds.users, "track": kinds.tracks}
    return _TEXT_ID if is_text.get(field_type) else _RULES[field_type]


@cache
def decoder(kinds: IdKinds) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a line, whose result has the fields as attributes."""
    members: list[Any] = []
    for field in EVENT_FIELDS:
        values = rule_of(field.type, kinds).values
        optional = (field.name, values | None, None)
        members.append(optional if field.optional else (field.name, values))
    return msgspec.json.Decoder(msgspec.defstruct("Event", members, frozen=True))


@cache
def usual_line(kinds: IdKinds) -> re.Pattern[bytes]:
    """Return the pattern of lines with the known keys alone, in order, once each.

    It has a group for the value of each optional key.
    """
    members = b""
    for field in EVENT_FIELDS:
        value = rule_of(field.type, kinds).pattern
        name = field.name.encode()
        if field.optional:
            members += b'(?:, ?"%b": ?(?:null|(%b)))?' % (name, value)
        else:
            members += b'%b"%b": ?%b' % (b", ?" if members else b"", name, value)
    return re.compile(rb"\{%b\}\r?" % members)


@cache
def schema_of(kinds: IdKinds) -> pa.Schema:
    """Return the columns of events as they are in a log."""
    return pa.schema(
        {field.name: rule_of(field.type, kinds).column for field in EVENT_FIELDS}
    )


@cache
def database_types(kinds: IdKinds) -> str:
    """Return the fields' types in DuckDB, as its function `json_transform` takes them."""
    rules = {field.name: rule_of(field.type, kinds) for field in EVENT_FIELDS}
    return json.dumps({name: rule.database for name, rule in rules.items()})


def keep_allowed(
    events: pa.Table, kinds: IdKinds, largest_track: int = LARGEST_ID
) -> pa.Table:
    """Leave out rows with a value out of its bounds."""
    masks = []
    for field in EVENT_FIELDS:
        rule = rule_of(field.type, kinds)
        values = events[field.name]
        if field.type == "message":
            masks.append(pc.is_in(values, value_set=pa.array(get_args(Message))))
        if rule.bounds is None:
            continue
        low, high = rule.bounds
        if field.type == "track" and not kinds.tracks:
            high = largest_track
        if pa.types.is_string(values.type):
            values = pc.binary_length(values)
        found = pc.min_max(values).as_py()
        if found["min"] is not None and (found["min"] < low or found["max"] > high):
            is_inside = pc.and_(
                pc.greater_equal(values, low), pc.less_equal(values, high)
            )
            masks.append(pc.fill_null(is_inside, fill_value=True))
    return events.filter(reduce(pc.and_, masks)) if masks else events


EVENT_SCHEMA = schema_of(NUMBERS)
