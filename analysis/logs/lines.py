"""Parse single lines of an event log exactly: slower than DuckDB's reader, and sure of every line.

The rules are those of `sql/events/events.sql`: an unknown key is ignored; of a key given twice the
last value counts, and all must be allowed; an optional key that is absent equals one that is null;
ids of listeners are whole numbers in all lines or text in all, and so are those of tracks; a whole
number is written as one (7, not "7", 7.0 or true); a line of white space is blank, and a byte order
mark may open the file.
"""

import base64
import codecs
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import IO, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

LARGEST_ID = 2**63 - 1
LONGEST_LINE = 2**20
# seconds, to either side of 0; a clock that is set back makes some negative
LONGEST_LATENCY = 1_000_000
KEPT_OF_A_REJECT = 4096
TORN = "torn last line"
_EVENTS_AT_ONCE = 1000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINES_LOOKED_AT = 100

Id = Annotated[int, Meta(ge=0, le=LARGEST_ID)]
TextId = Annotated[str, Meta(min_length=1)]
Timestamp = Annotated[int, Meta(ge=10**11, lt=10**14)]


class IdKinds(NamedTuple):
    """Which ids of a log are text; the others are whole numbers."""

    users: bool = False
    tracks: bool = False


NUMBERS = IdKinds()


class Event(msgspec.Struct, frozen=True):
    """A line of the event log: its keys, their types and what they may hold; ids may be text instead."""

    message: Literal["next", "last"]
    timestamp: Timestamp
    user: Id
    track: Id
    time: Annotated[float, Meta(ge=0, le=1)]
    latency: float | None = (
        None  # one beyond `LONGEST_LATENCY` is set aside, and the event counts
    )
    recommendation: Id | None = None
    experiments: dict[str, str] | None = None
    session: Annotated[str, Meta(min_length=1)] | None = None
    recommender: str | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None


@dataclass(frozen=True)
class LineCounts:
    """Lines of a log; read = good + rejected + blank."""

    read: int
    good: int
    rejected: int
    blank: int

    def __add__(self, other: "LineCounts") -> "LineCounts":
        """The counts of two logs together."""
        return LineCounts(
            self.read + other.read,
            self.good + other.good,
            self.rejected + other.rejected,
            self.blank + other.blank,
        )


@dataclass(frozen=True)
class Reject:
    """A line that is no event."""

    file: str  # the log's name
    line: int  # number of the line, from 1
    reason: str  # what is wrong with it
    bytes: int  # its length without the line end
    text: (
        str | None
    )  # its first `KEPT_OF_A_REJECT` bytes; None where they are not UTF-8
    base64: str | None  # the same bytes where they are not UTF-8


class _Ids(msgspec.Struct):
    user: Id | TextId
    track: Id | TextId


_decode_ids = msgspec.json.Decoder(_Ids).decode
_encoder = msgspec.json.Encoder()
_canonical_encoder = msgspec.json.Encoder(order="sorted")
_assignment_decoder = msgspec.json.Decoder(dict[str, str])


class OddLineError(ValueError):
    """A log has a line that is no event, or may be none; the exact reader finds out."""


def id_kinds(log: IO[bytes]) -> IdKinds | None:
    """Return which ids of a log are text, by most of its first lines; None where none has ids."""
    counts: Counter[IdKinds] = Counter()
    for line, _, _ in islice(_lines(log), _LINES_LOOKED_AT):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            ids = _decode_ids(line)
            counts[IdKinds(isinstance(ids.user, str), isinstance(ids.track, str))] += 1
    return counts.most_common(1)[0][0] if counts else None


@cache
def _decoder(kinds: IdKinds) -> msgspec.json.Decoder[Event]:
    types: dict[str, Any] = {"user": TextId} if kinds.users else {}
    if kinds.tracks:
        types |= {"track": TextId, "recommendation": TextId | None}
    if not types:
        return msgspec.json.Decoder(Event)
    fields = [
        (name, kind, *([None] if name == "recommendation" else []))
        for name, kind in types.items()
    ]
    return msgspec.json.Decoder(
        msgspec.defstruct("Event", fields, bases=(Event,), frozen=True, kw_only=True)
    )


def parse_line(
    line: bytes, largest_track: int = LARGEST_ID, kinds: IdKinds = NUMBERS
) -> Event:
    """Parse one line, without its line end; `largest_track` is the catalogue's last id where ids are numbers.

    Raises:
        ValueError: The line is no event; the message is the reason.
    """
    try:
        event = _decoder(kinds).decode(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if abs(event.latency or 0) > LONGEST_LATENCY:
        event = msgspec.structs.replace(event, latency=None)
    if kinds.tracks:
        return event
    if event.track > largest_track or (event.recommendation or 0) > largest_track:
        key = "track" if event.track > largest_track else "recommendation"
        raise ValueError(
            f"the catalogue's last track is {largest_track}, found {getattr(event, key)} - at `$.{key}`"
        )
    return event


def split_lines(
    log: IO[bytes],
    name: str,
    clean: IO[bytes],
    rejects: IO[bytes],
    largest_track: int,
    kinds: IdKinds,
) -> LineCounts:
    """Divide the lines of a log into events, written to `clean` in the log's own format, and a `Reject` a line."""
    read = good = blank = 0
    events: list[Event] = []
    for line, length, is_whole in _lines(log):
        read += 1
        if not line.strip():
            blank += 1
            continue
        try:
            if length > LONGEST_LINE:
                raise ValueError(f"{length} bytes long; a line may have {LONGEST_LINE}")
            event = parse_line(line, largest_track, kinds)
        except ValueError as error:
            reason = str(error) if is_whole or _is_json(line) else TORN
            rejects.write(
                _encoder.encode(_reject(name, read, reason, line, length)) + b"\n"
            )
        else:
            good += 1
            events.append(event)
            if len(events) == _EVENTS_AT_ONCE:
                clean.write(_encoder.encode_lines(events))
                events.clear()
    clean.write(_encoder.encode_lines(events))
    return LineCounts(read, good, read - good - blank, blank)


def canonical_assignments(text: str) -> str:
    """Return the canonical JSON of experiments and arms: keys sorted, no white space.

    Raises:
        OddLineError: The text is not an object of strings.
    """
    try:
        return _canonical_encoder.encode(_assignment_decoder.decode(text)).decode()
    except (msgspec.DecodeError, RecursionError) as error:
        raise OddLineError(f"experiments: {error}") from None


def _is_json(line: bytes) -> bool:
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msgspec.json.decode(line)
        return True
    return False


def _lines(log: IO[bytes]) -> Iterator[tuple[bytes, int, bool]]:
    """Yield lines without their ends: text (the start of a long line), length, and whether a line end follows."""
    is_first = True
    while line := log.readline(LONGEST_LINE + 2):
        if is_first:
            line, is_first = line.removeprefix(BYTE_ORDER_MARK), False
        length, is_whole = len(line), line.endswith(b"\n")
        if not is_whole and length > LONGEST_LINE:
            while rest := log.readline(LONGEST_LINE):
                length += len(rest)
                if rest.endswith(b"\n"):
                    is_whole = True
                    break
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        yield line, length - is_whole, is_whole


def _reject(name: str, number: int, reason: str, line: bytes, length: int) -> Reject:
    kept = line[:KEPT_OF_A_REJECT]
    is_all = len(kept) == length
    try:
        # a cut may go through a character
        text = codecs.getincrementaldecoder("utf-8")().decode(kept, final=is_all)
        return Reject(name, number, reason, length, text=text, base64=None)
    except UnicodeDecodeError:
        return Reject(
            name,
            number,
            reason,
            length,
            text=None,
            base64=base64.b64encode(kept).decode(),
        )
