"""Map the types of `looplib.event_fields` to types of Python, DuckDB and Arrow."""

from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pyarrow as pa
from msgspec import Meta

from looplib.arrays import IntArray
from looplib.event_fields import EVENT_FIELDS, FieldType
from looplib.event_fields import LARGEST_ID as LARGEST_ID

# seconds, to either side of 0; a clock that is set back makes some negative
LONGEST_LATENCY = 1_000_000

Id = Annotated[int, Meta(ge=0, le=LARGEST_ID)]
TextId = Annotated[str, Meta(min_length=1)]
Message = Literal["next", "last"]
Milliseconds = Annotated[int, Meta(ge=10**11, lt=10**14)]
Share = Annotated[float, Meta(ge=0, le=1)]
Probability = Annotated[float, Meta(gt=0, le=1)]


# The allowed values to msgspec, DuckDB's type, and the allowed values to DuckDB: a condition of
# {0}, which is text for whole numbers, and of the catalogue's last track {1}.
FieldRule = tuple[Any, str, str]

# an object or a list is read as its JSON text, which begins with { or [
_ANY_TEXT = "ascii({0}) NOT IN (91, 123)"
# DuckDB would round 1.5 and read true, "0x10" and "1_000". A double is exact up to 15 digits, and
# an integer of 19 digits may be too large for a BIGINT.
_WHOLE = (
    "regexp_full_match({0}, '(0|[1-9][0-9]{{0,14}})([.]0)?|[1-9][0-9]{{15,18}}')"
    " AND TRY_CAST({0} AS HUGEINT) BETWEEN "
)
_ID = f"{_WHOLE} 0 AND {LARGEST_ID}"
_TEXT_ID: FieldRule = (TextId, "VARCHAR", "ascii({0}) NOT IN (0, 91, 123)")
_RULES: dict[str, FieldRule] = {
    "message": (Message, "VARCHAR", "{0} IN ('next', 'last')"),
    "milliseconds": (
        Milliseconds,
        "BIGINT",
        f"{_WHOLE} 100000000000 AND 99999999999999",
    ),
    "listener": (Id, "BIGINT", _ID),
    "track": (Id, "BIGINT", f"{_WHOLE} 0 AND {{1}}"),
    "share": (Share, "DOUBLE", "{0} BETWEEN 0 AND 1"),
    "seconds": (float, "DOUBLE", f"abs({{0}}) <= {LONGEST_LATENCY}"),
    "arms": (dict[str, str], "VARCHAR", "true"),
    "name": _TEXT_ID,
    "text": (str, "VARCHAR", _ANY_TEXT),
    "probability": (Probability, "DOUBLE", "{0} > 0 AND {0} <= 1"),
    "number": (Id, "BIGINT", _ID),
}
_ARROW = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string()}


class IdKinds(NamedTuple):
    """Which ids of a log are text; the others are whole numbers."""

    users: bool = False
    tracks: bool = False


NUMBERS = IdKinds()
TRACK_KEYS = tuple(field.name for field in EVENT_FIELDS if field.type == "track")


def rule_of(field_type: FieldType, kinds: IdKinds) -> FieldRule:
    """Look up the rule of a type of field in a log with ids of some kinds."""
    is_text = {"listener": kinds.users, "track": kinds.tracks}
    return _TEXT_ID if is_text.get(field_type) else _RULES[field_type]


@cache
def decoder(kinds: IdKinds) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a line, whose result has the fields as attributes."""
    members: list[Any] = []
    for field in EVENT_FIELDS:
        values, _, _ = rule_of(field.type, kinds)
        optional = (field.name, values | None, None)
        members.append(optional if field.optional else (field.name, values))
    return msgspec.json.Decoder(msgspec.defstruct("Event", members, frozen=True))


def database_types(kinds: IdKinds) -> dict[str, str]:
    """Return DuckDB's type of each field."""
    return {field.name: rule_of(field.type, kinds)[1] for field in EVENT_FIELDS}


def event_condition(kinds: IdKinds, largest_track: int) -> str:
    """Return the SQL condition of lines whose fields all have allowed values."""
    conditions = []
    for field in EVENT_FIELDS:
        _, _, condition = rule_of(field.type, kinds)
        condition = condition.format(f'"{field.name}"', largest_track)
        if field.optional:
            condition = f"coalesce({condition}, true)"
        conditions.append(condition)
    return f"coalesce({' AND '.join(conditions)}, false)"


EVENT_SCHEMA = pa.schema(
    {name: _ARROW[column] for name, column in database_types(NUMBERS).items()}
)


def integers(values: IntArray) -> pa.Array:
    """Wrap whole numbers, shape (n,), in Arrow; `pa.array` imports pandas, for a second."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def with_all_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with exactly the columns of a schema; missing columns are null."""
    both = [pa.Table.from_batches([], schema), rows]
    return pa.concat_tables(both, promote_options="permissive").select(schema.names)
