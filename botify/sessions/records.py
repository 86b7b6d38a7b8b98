"""How a session is written where several processes append to it, and how it is read.

It is one string of records of 24 bytes: (ticket, track, share heard), and for a recommendation (ticket of its request,
track or -1, -1). The order of the records is the order in which things happened, for every process, and this is all
that the promise of `botify.sessions.local` needs. (ticket, -1, -2) takes over the claim of a request.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from botify.sessions.local import Heard, session_id

RECORD = struct.Struct("<Qqd")
RECOMMENDED, TAKEN_OVER = -1.0, -2.0
NO_TRACK = -1
_LONGEST_QUICK = 127  # records


class Reading(NamedTuple):
    """What a session's string says to the request with a ticket.

    Attributes:
        heard: The session.
        others: Tickets of requests that came before and are still being answered.
        is_taken_over: Whether another request took over the claim.
    """

    heard: Heard
    others: tuple[int, ...] = ()
    is_taken_over: bool = False


def read_session(value: bytes, ticket: int) -> Reading:
    """Reads a session's string, up to and with what the request heard; recommendations after it count too."""
    return _read_alternating(value, ticket) or _read_any(value, ticket)


def _read_alternating(value: bytes, ticket: int) -> Reading | None:
    """The same in half the time where requests came one after the other, and this one last; None where not."""
    count = len(value) // RECORD.size
    if count % 2 == 0 or count > _LONGEST_QUICK:
        return None
    fields = _records(count).unpack(value)
    tickets, tracks, shares = fields[::3], fields[1::3], fields[2::3]
    is_alternating = (
        tickets[-1] == ticket
        and tickets.count(ticket) == 1
        and tickets[:-1:2] == tickets[1::2]
        and shares[1::2].count(RECOMMENDED) == count // 2
        and min(shares[::2]) >= 0
    )
    if not is_alternating:
        return None
    heard, recommended = tracks[::2], tracks[1::2]
    pending = () if recommended == heard[1:] else _not_heard(recommended, heard)
    return Reading(Heard(heard, shares[::2], session_id(tickets[0]), pending, ticket))


def _read_any(value: bytes, ticket: int) -> Reading:
    tracks: list[int] = []
    times: list[float] = []
    recommended: list[int] = []
    unsettled: dict[int, None] = {}
    taken_over: set[int] = set()
    first, is_past = 0, False
    for number, track, share in RECORD.iter_unpack(value):
        if share >= 0:
            first = first or number
            if not is_past and number not in unsettled:  # one sent twice, over a broken connection, counts once
                unsettled[number] = None
                tracks.append(track)
                times.append(share)
            is_past = is_past or number == ticket
        elif share == TAKEN_OVER:
            if number in unsettled:
                del unsettled[number]
                taken_over.add(number)
        elif number not in taken_over:
            unsettled.pop(number, None)
            recommended.append(track)
    unsettled.pop(ticket, None)
    heard = Heard(tuple(tracks), tuple(times), session_id(first), _not_heard(recommended, tracks), ticket)
    return Reading(heard, tuple(unsettled), ticket in taken_over)


def _not_heard(recommended: Iterable[int], heard: Iterable[int]) -> tuple[int, ...]:
    known = {NO_TRACK, *heard}
    return tuple(track for track in recommended if track not in known)


@lru_cache(maxsize=_LONGEST_QUICK)
def _records(count: int) -> struct.Struct:
    """Of a string of so many records."""
    return struct.Struct("<" + RECORD.format.removeprefix("<") * count)
