"""Sessions in Redis, for several processes or replicas; the only module that knows Redis.

A session is one string of records of 24 bytes: (ticket, track, share heard), and for a
recommendation (ticket of its request, track or -1, -1). Their order is that in which things
happened, for every process.

- `hear` appends and reads back in one round trip. A ticket that was heard before mine and has no
  recommendation is a request that is being answered elsewhere; only then is the string read again
  until it has one, or until the claim has run out: then (ticket, -1, -2) takes it over.
- `settle` is one command whose reply is not awaited. A slow request awaits it, and sees whether it
  was taken over.

A Redis that is down costs one time-out, then nothing: one request in `PAUSE_S` tries it again.
"""

import contextlib
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import redis

from botify.model.catalogue import Id
from botify.schemas import Listening
from botify.sessions.local import (
    CLAIM_S,
    LONGEST_SESSION,
    SILENCE_S,
    Session,
    make_tickets,
)
from looplib.errors import ConfigError

TIMEOUT_S = 0.25
PAUSE_S = 0.5
POLL_S = 0.001
RECORD = struct.Struct("<Qqd")
RECOMMENDED, TAKEN_OVER = -1.0, -2.0
NO_TRACK = -1

# MGET is half the work of as many GETs, and Lua hands over some thousand arguments at most.
_APPEND_AND_READ = b"""
for i, key in ipairs(KEYS) do
  redis.call('APPEND', key, ARGV[i + 1])
  redis.call('PEXPIREAT', key, ARGV[1])
end
local parts = {}
for first = 1, #KEYS, 1000 do
  parts[#parts + 1] = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
end
return parts
"""
_APPEND_AND_TAKE = b"""
local values = {}
for i, key in ipairs(KEYS) do
  redis.call('APPEND', key, ARGV[i])
  values[i] = redis.call('GETDEL', key)
end
return {values}
"""
# A session that ended meanwhile is not opened again; one that has become too long ends.
_APPEND_IF_OPEN = b"""
local longest = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local length = redis.call('APPEND', key, ARGV[i + 1])
  if length == #ARGV[i + 1] or length >= longest then redis.call('UNLINK', key) end
end
return 0
"""
# What is no session, of another type or length, is deleted.
_DELETE_FOREIGN = b"""
for _, key in ipairs(KEYS) do
  local is_text = redis.call('TYPE', key).ok == 'string'
  if not is_text or redis.call('STRLEN', key) % tonumber(ARGV[1]) ~= 0 then redis.call('UNLINK', key) end
end
return 0
"""
_LONGEST_VALUE = LONGEST_SESSION * 2 * RECORD.size


class Reading(NamedTuple):
    """What a session's string says to the request with a ticket."""

    session: Session
    # tickets of requests that came before and are still being answered
    others: tuple[int, ...] = ()
    is_taken_over: bool = False  # another request took over the claim


def read_session(value: bytes, ticket: int) -> Reading:
    """Read a session's string, up to and with what the request heard; recommendations after it count too."""
    tracks, times, recommended = list[int](), list[float](), list[int]()
    unsettled, taken_over = dict[int, None](), set[int]()
    first, is_past = 0, False
    for number, track, share in RECORD.iter_unpack(value):
        if share >= 0:
            first = first or number
            # one sent twice, over a broken connection, counts once
            if not is_past and number not in unsettled:
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
    session = Session(tuple(tracks), tuple(times), f"{first:016x}", pending, ticket)
    return Reading(session, tuple(unsettled), ticket in taken_over)


class RedisSessions:
    """Sessions in Redis; a connection a thread. Make it in the process that uses it, not before a fork."""

    def __init__(
        self,
        url: str,
        prefix: str = "botify:",
        *,
        silence_s: float = SILENCE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Prepare connections to a URL such as `redis://localhost:6379/0`; they are made at the first request.

        Keys begin with the prefix: sessions of catalogues that number their tracks differently are
        kept apart.

        Raises:
            ConfigError: The URL is none of Redis's.
        """
        try:
            pool = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=None,
            )
        except ValueError as error:
            raise ConfigError(f"redis_url: {error}") from None
        self._silence_ms, self._prefix = round(silence_s * 1000), f"{prefix}session:"
        self._tickets = make_tickets()
        self._connection = _Connection(pool)
        self._lock = threading.Lock()
        self._down_until_s = 0.0  # 0 while Redis answers

    def hear(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:
        """See `LocalSessions`; one round trip, unless a listener asks twice at once."""
        keys, tickets, records = self._records_of(requests)
        self._connection.claimed_s = time.monotonic()
        values = self._append_and_read(keys, now_ms + self._silence_ms, records)
        if values is None:
            return [None] * len(keys)
        if any(len(value) % RECORD.size for value in values):
            self.call(("EVAL", _DELETE_FOREIGN, len(keys), *keys, RECORD.size))
        readings = list(map(read_session, map(_own, values, records), tickets))
        if any(reading.others for reading in readings):
            self._wait_for_others(keys, readings, now_ms)
        return [reading.session for reading in readings]

    def settle(
        self,
        users: Sequence[Id],
        sessions: Sequence[Session | None],
        tracks: Iterable[int | None],
    ) -> bool:
        """See `LocalSessions`; waits for no reply unless the request was slow."""
        known = [NO_TRACK if track is None else track for track in tracks]
        settled = [
            (
                self._key(user),
                session.ticket,
                RECORD.pack(session.ticket, track, RECOMMENDED),
            )
            for user, session, track in zip(users, sessions, known, strict=True)
            if session is not None
        ]
        if not settled:
            return True
        keys, tickets, records = zip(*settled, strict=True)
        connection = self._connection
        append = ("EVAL", _APPEND_IF_OPEN, len(keys), *keys, _LONGEST_VALUE, *records)
        if time.monotonic() - connection.claimed_s < CLAIM_S / 2:
            if connection.is_connected:
                with contextlib.suppress(redis.RedisError, OSError):
                    connection.exchange([append], wait=False)
            return True
        _, values = self.call(append, ("MGET", *keys)) or (0, [])
        readings = [
            read_session(value, ticket)
            for value, ticket in zip(values, tickets, strict=False)
            if value
        ]
        return not any(reading.is_taken_over for reading in readings)

    def end(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:  # noqa: ARG002  Redis has a clock of its own
        """See `LocalSessions`; one round trip."""
        keys, tickets, records = self._records_of(requests)
        values = self._run(_APPEND_AND_TAKE, keys, *records)
        if values is None:
            return [None] * len(keys)
        return [
            reading.session
            for reading in map(read_session, map(_own, values, records), tickets)
        ]

    def ready(self) -> bool:
        """See `LocalSessions`; Redis is not asked during a pause."""
        return self.call(("PING",)) is not None

    def _wait_for_others(
        self, keys: Sequence[bytes], readings: list[Reading], now_ms: int
    ) -> None:
        """Read sessions again until the requests before mine are settled, or take over their claims."""
        deadline = time.monotonic() + CLAIM_S
        while waiting := [i for i, reading in enumerate(readings) if reading.others]:
            claimed = [keys[i] for i in waiting]
            if time.monotonic() < deadline:
                time.sleep(POLL_S)
                (values,) = self.call(("MGET", *claimed)) or [None]
            else:
                records = [
                    b"".join(
                        RECORD.pack(other, NO_TRACK, TAKEN_OVER)
                        for other in readings[i].others
                    )
                    for i in waiting
                ]
                values = self._run(
                    _APPEND_AND_READ, claimed, now_ms + self._silence_ms, *records
                )
            for i, value in zip(waiting, values or [None] * len(waiting), strict=True):
                session = readings[i].session
                mine = RECORD.pack(
                    session.ticket, session.tracks[-1], session.times[-1]
                )
                is_there = value is not None and mine in value
                readings[i] = (
                    read_session(value, session.ticket)
                    if is_there
                    else Reading(session)
                )

    def _append_and_read(
        self, keys: Sequence[bytes], expires_ms: int, records: Sequence[bytes]
    ) -> list[bytes] | None:
        """Append to sessions and read them back; None while Redis is down."""
        if (
            len(keys) > 1
        ):  # all at once: were batches to interleave, each might wait for the other
            return self._run(_APPEND_AND_READ, keys, expires_ms, *records)
        # Two commands sent together cost Redis half of what a script does.
        commands = (
            ("APPEND", keys[0], records[0]),
            ("GETEX", keys[0], "PXAT", expires_ms),
        )
        replies = self.call(*commands, keys=keys)
        if replies is None:
            return None
        value: bytes = replies[-1] or b""
        return [
            value if records[0] in value else records[0]
        ]  # the session ended between the two

    def _run(
        self, script: bytes, keys: Sequence[bytes], *values: int | bytes
    ) -> list[bytes] | None:
        """Return the values that a script reads; None while Redis is down."""
        replies = self.call(("EVAL", script, len(keys), *keys, *values), keys=keys)
        return None if replies is None else list(chain.from_iterable(replies[0]))

    def _records_of(
        self, requests: Sequence[Listening]
    ) -> tuple[list[bytes], list[int], list[bytes]]:
        """Return the key, a ticket and the record of each request."""
        tickets = [next(self._tickets) for _ in requests]
        keys = [self._key(user) for user, _, _ in requests]
        heard = zip(tickets, requests, strict=True)
        return (
            keys,
            tickets,
            [RECORD.pack(ticket, track, share) for ticket, (_, track, share) in heard],
        )

    def _key(self, user: Id) -> bytes:
        return f"{self._prefix}{user}".encode()

    def call(
        self, *commands: Sequence[Any], keys: Sequence[bytes] = ()
    ) -> list[Any] | None:
        """Return the replies to commands about keys, sent together; None while Redis is down."""
        if self._down_until_s and not self._may_try():
            return None
        connection = self._connection
        was_connected = connection.is_connected
        try:
            try:
                replies = connection.exchange(commands)
            except redis.ConnectionError:
                if not was_connected:
                    raise
                # Redis was restarted, perhaps long ago. Sending again does no harm: a ticket counts
                # once.
                replies = connection.exchange(commands)
            except redis.ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                connection.exchange(
                    [("EVAL", _DELETE_FOREIGN, len(keys), *keys, RECORD.size)]
                )
                replies = connection.exchange(commands)
        except (redis.RedisError, OSError):
            self._down_until_s = time.monotonic() + PAUSE_S
            return None
        self._down_until_s = 0.0
        return replies

    def _may_try(self) -> bool:
        """Return whether this request is the one that tries a Redis that is down; the others do without sessions."""
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._down_until_s:
                return False
            self._down_until_s = now_s + PAUSE_S
            return True


class _Connection(threading.local):
    """A connection for each thread, made when it is used."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._connection: Any = pool.make_connection()
        self._unread = 0
        self.claimed_s = 0.0  # when the last `hear` began

    @property
    def is_connected(self) -> bool:
        return bool(self._connection.is_connected)

    def exchange(
        self, commands: Sequence[Sequence[Any]], *, wait: bool = True
    ) -> list[Any]:
        """Send commands together and return their replies; without `wait` those are read before the next ones."""
        connection = self._connection
        try:
            connection.send_packed_command(
                connection.pack_commands(commands), check_health=False
            )
            self._unread += len(commands)
            if not wait:
                return []
            replies = [connection.read_response() for _ in range(self._unread)]
            self._unread = 0
            return replies[-len(commands) :]
        except (redis.RedisError, OSError):
            connection.disconnect()
            self._unread = 0
            raise


def _own(value: bytes, record: bytes) -> bytes:
    """Return the string of a session, or the record alone where it is not one of ours, by its length."""
    return record if len(value) % RECORD.size else value
