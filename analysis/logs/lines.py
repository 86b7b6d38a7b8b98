"""Parse single lines of an event log exactly, and explain why a line is rejected."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from analysis.logs.field_types import (
    EVENT_SCHEMA,
    LARGEST_ID,
    LONGEST_LATENCY,
    NUMBERS,
    TRACK_KEYS,
    IdKinds,
    decoder,
)

_SHOWN = 80  # characters of a reject's text in a message
KEPT_OF_A_REJECT = 4096  # bytes of a log's line, characters of a table's row
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineCounts:
    """Counts of the lines of a log that are not blank; read = good + rejected."""

    read: int = 0
    good: int = 0
    rejected: int = 0

    def __add__(self, other: "LineCounts") -> "LineCounts":
        """Add the counts of two logs."""
        return LineCounts(
            self.read + other.read,
            self.good + other.good,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True)
class Reject:
    """A line that is no event."""

    file: str  # the log's name
    line: int  # number of the line, from 1
    reason: str  # why it is rejected
    bytes: int  # its length without the line end
    # its first `KEPT_OF_A_REJECT`, bytes that are not UTF-8 such as \\xff; None of old stores
    text: str | None

    def __str__(self) -> str:
        """Describe it by its place, the reason, and the beginning of its text.

        >>> print(Reject("a.csv", 3, "track is missing", 5, "ann, "))
        a.csv:3: track is missing (ann, )
        """
        text = (self.text or "")[:_SHOWN]
        return f"{self.file}:{self.line}: {self.reason} ({text})"


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def parse_line(
    line: bytes,
    largest_track: int = LARGEST_ID,
    kinds: IdKinds = NUMBERS,
) -> Any:  # noqa: ANN401  it has the attributes that `looplib.event_fields` says
    """Parse a line, without its line end.

    Args:
        line: The line.
        largest_track: The catalogue's last id, where ids are numbers.
        kinds: Which ids are text.

    Returns:
        An object with the fields of `looplib.event_fields` as attributes.

    Raises:
        ValueError: The line is no event; the message is the reason.
    """
    try:
        event = decoder(kinds).decode(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except msgspec.DecodeError as error:
        is_text = "UTF-8" not in str(error)  # before 0.23 it was a UnicodeDecodeError
        raise ValueError(f"not JSON: {error}" if is_text else "not UTF-8") from None
    if key := repeated_key(line):
        raise ValueError(f"given twice - at `$.{key}`")
    if abs(event.latency or 0) > LONGEST_LATENCY:
        event = msgspec.structs.replace(event, latency=None)
    if kinds.tracks:
        return event
    for key in TRACK_KEYS:
        track = getattr(event, key) or 0
        if track > largest_track:
            raise ValueError(
                f"the catalogue's last track is {largest_track}, "
                f"found {track} - at `$.{key}`"
            )
    return event


def repeated_key(line: bytes) -> str | None:
    """Return a field, or an experiment, that a line of JSON gives twice."""
    texts = line.split(b'"')[1::2]
    if len(set(texts)) == len(texts) and b"\\" not in line:
        return None
    # a line that is no JSON object has another error
    with suppress(ValueError, TypeError, RecursionError):
        members = json.loads(line, object_pairs_hook=tuple)
        names = [key for key, _ in members if key in EVENT_SCHEMA.names]
        arms = dict(members).get("experiments") or ()
        names += [f"experiments.{name}" for name, _ in arms]
        return next((name for name in names if names.count(name) > 1), None)
    return None


def event_row(event: msgspec.Struct) -> dict[str, Any]:
    """Return the columns of an event; its experiments become canonical JSON."""
    row = msgspec.structs.asdict(event)
    if row["experiments"] is not None:
        row["experiments"] = _encode_sorted(row["experiments"]).decode()
    return row


def canonical_arms(text: str) -> str | None:
    """Return experiments and arms with sorted keys and no white space.

    None if the text is no JSON object of texts, or gives a key twice.
    """
    with suppress(msgspec.DecodeError, RecursionError):
        arms = msgspec.json.decode(text, type=dict[str, str])
        if len(arms) == len(json.loads(text, object_pairs_hook=tuple)):
            return _encode_sorted(arms).decode()
    return None
