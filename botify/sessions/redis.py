"""Sessions in Redis, for several processes or replicas; the only module that knows Redis.

A session is one string: a head (ticket of its first request, of its latest one, whether that is being answered), then a
record (track, share) for each track heard, with share -1 for one recommended. Each step is one script, so all processes
see one order. A step sent twice over a broken connection counts once: the head has its ticket.

- `hear` appends, unless the request before it is being answered; then it is sent again until that is done, or until the
  claim has run out and is taken over.
- `settle` is one command whose reply is not awaited. A slow request awaits it, and sees whether it was taken over.

A Redis that is down costs one time-out, then nothing: one request in `PAUSE_S` tries it again.
"""

import contextlib
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import redis

from botify.model.catalogue import Id
from botify.schemas import Listening
from botify.sessions.local import CLAIM_S, LONGEST_SESSION, SILENCE_S, Session, make_tickets
from looplib.errors import ConfigError

TIMEOUT_S = 0.25
PAUSE_S = 0.5
POLL_S = 0.001
HEAD, RECORD = struct.Struct(">QQQ"), struct.Struct("<qd")
_RECOMMENDED = -1.0
_LONGEST_VALUE = HEAD.size + LONGEST_SESSION * 2 * RECORD.size

# What is no session, of another type or length, is replaced. ARGV: when it expires, whether claims are taken over, then
# a ticket and a record for each session. Returns nothing where a session is claimed.
_HEAR = rb"""
local values = {}
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' or #value % 16 ~= 8 then
    value = ''
  elseif ARGV[2] == '0' and string.byte(value, 24) == 1 and string.sub(value, 9, 16) ~= ARGV[2 * i + 1] then
    return {}
  end
  values[i] = value
end
for i, key in ipairs(KEYS) do
  local value, ticket = values[i], ARGV[2 * i + 1]
  if string.sub(value, 9, 16) ~= ticket then
    local first = value == '' and ticket or string.sub(value, 1, 8)
    value = first .. ticket .. '\0\0\0\0\0\0\0\1' .. string.sub(value, 25) .. ARGV[2 * i + 2]
  end
  redis.call('SET', key, value, 'PXAT', ARGV[1])
  values[i] = value
end
return values
"""
# A session that ended meanwhile is left alone; one that has become too long ends. ARGV: the longest, then the session's
# first ticket, the request's and a record, or nothing, for each. Returns whether one was taken over.
_SETTLE = rb"""
local late = 0
for i, key in ipairs(KEYS) do
  local value, first, ticket, record = redis.pcall('GET', key), ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if type(value) == 'string' and string.sub(value, 1, 8) == first then
    if string.sub(value, 9, 16) ~= ticket then
      late = 1
    elseif #value + #record >= tonumber(ARGV[1]) then
      redis.call('UNLINK', key)
    elseif string.byte(value, 24) == 1 then
      value = string.sub(value, 1, 16) .. '\0\0\0\0\0\0\0\0' .. string.sub(value, 25) .. record
      redis.call('SET', key, value, 'KEEPTTL')
    end
  end
end
return late
"""
_END = rb"""
local values = {}
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  values[i] = type(value) == 'string' and value or ''
  redis.call('UNLINK', key)
end
return values
"""


def read_session(value: bytes) -> Session:
    """Read a session's string."""
    _, ticket, _ = HEAD.unpack_from(value)
    records = list(RECORD.iter_unpack(value[HEAD.size :]))
    heard = [record for record in records if record[1] >= 0]
    tracks, times = zip(*heard, strict=True)
    recommended = [track for track, share in records if share < 0]
    known = set(tracks)
    pending = tuple([track for track in recommended if track not in known])
    return Session(tracks, times, value[:8].hex(), pending, ticket)


class RedisSessions:
    """Sessions in Redis; a connection a thread. Make it in the process that uses it, not before a fork."""

    def __init__(
        self, url: str, prefix: str = "botify:", *, silence_s: float = SILENCE_S, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Prepare connections to a URL such as `redis://localhost:6379/0`; they are made at the first request.

        Keys begin with the prefix: sessions of catalogues that number their tracks differently are kept apart.

        Raises:
            ConfigError: The URL is none of Redis's.
        """
        try:
            pool = redis.ConnectionPool.from_url(
                url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None
            )
        except ValueError as error:
            raise ConfigError(f"redis_url: {error}") from None
        self._silence_ms, self._prefix = round(silence_s * 1000), f"{prefix}2:session:"  # 2: of the format above
        self._tickets = make_tickets()
        self._connection = _Connection(pool)
        self._lock = threading.Lock()
        self._down_until_s = 0.0  # 0 while Redis answers

    def hear(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:
        """See `LocalSessions`; one round trip, unless a listener asks twice at once."""
        keys = [self._key(user) for user, _, _ in requests]
        values: list[bytes] = []
        for (_, track, share), ticket in zip(requests, self._tickets, strict=False):
            values += [ticket.to_bytes(8), RECORD.pack(track, share)]
        deadline = time.monotonic() + CLAIM_S
        while True:
            self._connection.claimed_s = time.monotonic()
            takes_over = int(self._connection.claimed_s > deadline)
            replies = self.call(("EVAL", _HEAR, len(keys), *keys, now_ms + self._silence_ms, takes_over, *values))
            if replies is None:
                return [None] * len(keys)
            if replies[0]:
                return list(map(read_session, replies[0]))
            time.sleep(POLL_S)

    def settle(self, users: Sequence[Id], sessions: Sequence[Session | None], tracks: Iterable[int | None]) -> bool:
        """See `LocalSessions`; waits for no reply unless the request was slow."""
        keys: list[bytes] = []
        values: list[bytes] = []
        for user, session, track in zip(users, sessions, tracks, strict=True):
            if session is not None:
                record = b"" if track is None else RECORD.pack(track, _RECOMMENDED)
                keys.append(self._key(user))
                values += [bytes.fromhex(session.id), session.ticket.to_bytes(8), record]
        if not keys:
            return True
        connection, settle = self._connection, ("EVAL", _SETTLE, len(keys), *keys, _LONGEST_VALUE, *values)
        if time.monotonic() - connection.claimed_s > CLAIM_S / 2:
            return self.call(settle) != [1]
        if connection.is_connected:
            with contextlib.suppress(redis.RedisError, OSError):
                connection.exchange([settle], wait=False)
        return True

    def end(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:  # noqa: ARG002  Redis has a clock of its own
        """See `LocalSessions`; one round trip."""
        keys = [self._key(user) for user, _, _ in requests]
        replies = self.call(("EVAL", _END, len(keys), *keys))
        if replies is None:
            return [None] * len(keys)
        ended: list[Session | None] = []
        for value, (_, track, share), ticket in zip(replies[0], requests, self._tickets, strict=False):
            is_session = len(value) % RECORD.size == HEAD.size % RECORD.size
            ended.append(read_session((value if is_session else HEAD.pack(ticket, 0, 0)) + RECORD.pack(track, share)))
        return ended

    def ready(self) -> bool:
        """See `LocalSessions`; Redis is not asked during a pause."""
        return self.call(("PING",)) is not None

    def _key(self, user: Id) -> bytes:
        return f"{self._prefix}{user}".encode()

    def call(self, *commands: Sequence[Any]) -> list[Any] | None:
        """Return the replies to commands, sent together; None while Redis is down."""
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
                # Redis was restarted, perhaps long ago. Sending again does no harm: a ticket counts once.
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

    def exchange(self, commands: Sequence[Sequence[Any]], *, wait: bool = True) -> list[Any]:
        """Send commands together and return their replies; without `wait` those are read before the next ones."""
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
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
