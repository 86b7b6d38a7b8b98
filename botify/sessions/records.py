"""The format of a session in Redis, where several processes append to it.

It is one string of records of 24 bytes: (ticket, track, share heard), and for a recommendation (ticket of its request,
track or -1, -1). The order of the records is the order in which things happened, for every process, and this is all
that the promise of `botify.sessions.local` needs. (ticket, -1, -2) takes over the claim of a request.
"""

import struct
from typing import NamedTuple

from botify.sessions.local import Session, session_id

RECORD = struct.Struct("<Qqd")
RECOMMENDED, TAKEN_OVER = -1.0, -2.0
NO_TRACK = -1


class Reading(NamedTuple):
    """What a session's string says to the request with a ticket.

    Attributes:
        session: The session.
        others: Tickets of requests that came before and are still being answered.
        is_taken_over: Whether another request took over the claim.
    """

    session: Session
    others: tuple[int, ...] = ()
    is_taken_over: bool = False


def read_session(value: bytes, ticket: int) -> Reading:
    """Read a session's string, up to and with what the request heard; recommendations after it count too."""
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
    heard = {NO_TRACK, *tracks}
    pending = tuple([track for track in recommended if track not in heard])
    session = Session(tuple(tracks), tuple(times), session_id(first), pending, ticket)
    return Reading(session, tuple(unsettled), ticket in taken_over)
