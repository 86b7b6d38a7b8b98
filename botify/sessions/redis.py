"""Sessions in Redis, for several processes or replicas; the only module that knows Redis.

A session is one string: a head of 16 bytes, which is `session:` and the session's id, then the
records of 16 bytes of what was heard (track, share). One script appends a record and returns the
string, so each request of a listener sees all that was acknowledged before it. Any other value is
replaced.

A Redis that is down costs one time-out, then nothing: one request in `PAUSE_S` tries it again.
"""

import secrets
import struct
import threading
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from botify.schemas import Listening
from botify.sessions.local import LONGEST_SESSION, Session
from looplib.errors import ConfigError

PAUSE_S = 0.5
_MARK = b"session:"
_HEAD = struct.Struct(">8sQ")
_RECORD = struct.Struct("<qd")
_LONGEST_VALUE = _HEAD.size + LONGEST_SESSION * _RECORD.size

# KEYS: the sessions. ARGV: the silence in ms after which a session is over, 0 if what was heard is
# the last; the length that a session may have; then for each the head of a new session and the
# record to append.
_APPEND_AND_READ = b"""
local sessions = {}
for i, key in ipairs(KEYS) do
  local session = redis.pcall('GET', key)
  local is_ours = type(session) == 'string' and #session % 16 == 0
    and string.sub(session, 1, 8) == 'session:'
  if not is_ours or #session >= tonumber(ARGV[2]) then
    session = ARGV[2 * i + 1]
  end
  session = session .. ARGV[2 * i + 2]
  if ARGV[1] == '0' then
    redis.call('UNLINK', key)
  else
    redis.call('SET', key, session, 'PX', ARGV[1])
  end
  sessions[i] = session
end
return sessions
"""


class RedisSessions:
    """Sessions in Redis. Make it in the process that uses it, not before a fork."""

    def __init__(
        self, url: str, prefix: str, *, silence_s: float, timeout_s: float
    ) -> None:
        """Prepare connections to a URL such as `redis://localhost:6379/0`.

        The first request makes one. Keys begin with the prefix.

        Raises:
            ConfigError: This is no URL of a Redis.
        """
        try:
            self._pool = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                max_connections=2**31,  # one a thread
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),  # `_command` does it
            )
        except ValueError as error:
            raise ConfigError(f"redis_url: {error}") from None
        self._local = threading.local()  # each thread's connection
        self._prefix = f"{prefix}session:"
        self._silence_ms = round(silence_s * 1000)
        self._ids = count(secrets.randbits(63))
        self._lock = threading.Lock()
        self._down_until_s = 0.0  # 0 while Redis answers

    def hear(
        self, requests: Sequence[Listening], *, is_last: bool = False
    ) -> list[Session | None]:
        """Add the tracks just heard to the sessions, as `LocalSessions` does, in one round trip."""
        keys = [f"{self._prefix}{request.user}" for request in requests]
        values: list[int | bytes] = [
            0 if is_last else self._silence_ms,
            _LONGEST_VALUE,
        ]
        for request in requests:
            values.append(_HEAD.pack(_MARK, next(self._ids)))
            values.append(_RECORD.pack(request.track, request.time))
        words = ("EVAL", _APPEND_AND_READ, len(keys), *keys, *values)
        sessions: list[bytes] | None = self._ask(*words)
        if sessions is None:
            return [None] * len(requests)
        return [_read_session(session) for session in sessions]

    def is_ready(self) -> bool:
        """Check that Redis takes a value; during a pause it is not asked."""
        return self._ask("SET", f"{self._prefix}:ready", b"", "PX", 1000) == b"OK"

    def _command(self, *words: str | int | bytes) -> Any:  # noqa: ANN401  a reply of Redis
        """Send a command over this thread's connection; a pool would cost 40 µs.

        A connection that broke while it was idle is made again; no request waits twice.
        """
        connection: Any = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._pool.make_connection()
        elif connection.is_connected:
            try:
                connection.send_command(*words)
                return connection.read_response()
            except redis.ConnectionError:
                connection.disconnect()
        connection.send_command(*words)  # connects
        return connection.read_response()

    def _ask(self, *words: str | int | bytes) -> Any | None:  # noqa: ANN401  a reply of Redis
        """Ask for the reply to a command; None while Redis is down."""
        if self._down_until_s:
            with self._lock:  # one request tries Redis again, the others do without
                now_s = time.monotonic()
                if now_s < self._down_until_s:
                    return None
                self._down_until_s = now_s + PAUSE_S
        try:
            reply = self._command(*words)
        except (redis.RedisError, OSError):
            self._down_until_s = time.monotonic() + PAUSE_S
            return None
        self._down_until_s = 0.0
        return reply


def _read_session(value: bytes) -> Session:
    _, number = _HEAD.unpack_from(value)
    tracks, times = zip(*_RECORD.iter_unpack(value[_HEAD.size :]), strict=True)
    return Session(f"{number:016x}", tracks, times)
