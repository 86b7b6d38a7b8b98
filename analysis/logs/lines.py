"""Parse single lines of an event log exactly.

An unknown key is ignored; of a key given twice the last value counts, and all must be allowed; an
optional key that is absent equals one that is null; ids of listeners are whole numbers in all lines
or text in all, and so are those of tracks; a whole number is written as one (7, not "7", 7.0 or
true); a line of white space is blank, and a byte order mark may open the file.
"""

import base64
import codecs
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from analysis.logs.fields import (
    LARGEST_ID,
    LONGEST_LATENCY,
    NUMBERS,
    TRACK_KEYS,
    Id,
    IdKinds,
    TextId,
    decoder,
)

LONGEST_LINE = 2**20
KEPT_OF_A_REJECT = 4096
TORN = "torn last line"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineCounts:
    """Lines of a log; read = good + rejected + blank."""

    read: int = 0
    good: int = 0
    rejected: int = 0
    blank: int = 0

    def __add__(self, other: "LineCounts") -> "LineCounts":
        """Add the counts of two logs."""
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
    # its first `KEPT_OF_A_REJECT` bytes; None where they are not UTF-8
    text: str | None
    base64: str | None = None  # the same bytes where they are not UTF-8


class _Ids(msgspec.Struct):
    user: Id | TextId
    track: Id | TextId


_decode_ids = msgspec.json.Decoder(_Ids).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def id_kinds(lines: Iterable[bytes]) -> IdKinds | None:
    """Return which ids are text by most of some lines; None where no line has ids."""
    counts: Counter[IdKinds] = Counter()
    for line in lines:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            ids = _decode_ids(line.removeprefix(BYTE_ORDER_MARK))
            counts[IdKinds(isinstance(ids.user, str), isinstance(ids.track, str))] += 1
    return counts.most_common(1)[0][0] if counts else None


def parse_line(
    line: bytes, largest_track: int = LARGEST_ID, kinds: IdKinds = NUMBERS
) -> Any:  # noqa: ANN401  it has the attributes that `looplib.event_fields` says
    """Parse one line, without its line end.

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
        raise ValueError(f"not JSON: {error}") from None
    if abs(event.latency or 0) > LONGEST_LATENCY:
        event = msgspec.structs.replace(event, latency=None)
    if kinds.tracks:
        return event
    for key in TRACK_KEYS:
        track = getattr(event, key) or 0
        if track > largest_track:
            found = f"found {track} - at `$.{key}`"
            raise ValueError(f"the catalogue's last track is {largest_track}, {found}")
    return event


def event_row(event: msgspec.Struct) -> dict[str, Any]:
    """Return the columns of an event; its experiments become canonical JSON."""
    row = msgspec.structs.asdict(event)
    if row["experiments"] is not None:
        row["experiments"] = _encode_sorted(row["experiments"]).decode()
    return row


def canonical_experiments(text: str) -> str:
    """Return an object of experiments and arms with sorted keys and no white space."""
    return _encode_sorted(msgspec.json.decode(text, type=dict[str, str])).decode()


def is_json(line: bytes) -> bool:
    """Return whether a line is JSON, so that it was not cut."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msgspec.json.decode(line)
        return True
    return False


def make_reject(name: str, number: int, reason: str, line: bytes, size: int) -> Reject:
    """Return the reject of a line of `size` bytes, of which `line` may be the start."""
    kept = line[:KEPT_OF_A_REJECT]
    is_all = len(kept) == size
    try:
        # a cut may go through a character
        text = codecs.getincrementaldecoder("utf-8")().decode(kept, final=is_all)
    except UnicodeDecodeError:
        encoded = base64.b64encode(kept).decode()
        return Reject(name, number, reason, size, text=None, base64=encoded)
    return Reject(name, number, reason, size, text)
