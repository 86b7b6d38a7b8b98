"""Sessions in Redis, for several processes or replicas; the only module that knows Redis.

A session is a string: a head of 16 bytes, which is `session:` and the session's id, then records of
16 bytes for the tracks heard (track, share). The latest plays are a string, too: 8 bytes that name
the catalogue, then the records of `looplib.memory`. A script appends to both and returns them, so
each request of a listener sees all that was acknowledged before it. Any other value is replaced.

A Redis that is down costs a single time-out: a request in every `PAUSE_S` tries it again.
"""

import logging
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

from botify import limits
from botify.errors import UnavailableError
from botify.model.catalogue import Id
from botify.schemas import Listening
from botify.sessions.local import Session
from looplib.errors import ConfigError
from looplib.memory import MOST_PLAYS, pack_plays

PAUSE_S = 0.5
logger = logging.getLogger("botify")
_MARK = b"session:"
_HEAD = struct.Struct(">8sQ")
_RECORD = struct.Struct("<qd")
_DAY_MS = 24 * 60 * 60 * 1000
_LONGEST_PLAYS = MOST_PLAYS * len(pack_plays([0], 0))

# KEYS: the sessions, then the plays, if they are remembered. ARGV: the silence in ms after which a
# session is over, 0 at the end of a session; the length that a session may have; the ms that
# plays are kept, the length that they may have, and their head; then for each session the head of
# a new session, its record to append, and the record of the play.
_APPEND_AND_READ = b"""
local answers = {}
local count = (#ARGV - 5) / 3
for i = 1, count do
  local key = KEYS[i]
  local session = redis.pcall('GET', key)
  local is_ours = type(session) == 'string' and #session % 16 == 0
    and string.sub(session, 1, 8) == 'session:'
  if not is_ours or #session >= tonumber(ARGV[2]) then
    session = ARGV[3 * i + 3]
  end
  session = session .. ARGV[3 * i + 4]
  if ARGV[1] == '0' then
    redis.call('UNLINK', key)
  else
    redis.call('SET', key, session, 'PX', ARGV[1])
  end
  answers[i] = session
end
for i = 1, #KEYS - count do
  local key = KEYS[count + i]
  local plays = redis.pcall('GET', key)
  local is_ours = type(plays) == 'string' and #plays % 8 == 0
    and string.sub(plays, 1, 8) == ARGV[5]
  plays = (is_ours and string.sub(plays, 9) or '') .. ARGV[3 * i + 5]
  plays = string.sub(plays, -tonumber(ARGV[4]))
  redis.call('SET', key, ARGV[5] .. plays, 'PX', ARGV[3])
  answers[count + i] = plays
end
return answers
"""
_PROBE = b"redis.call('SET', KEYS[1], '', 'PX', 1000) return 1"


class RedisSessions:
    """Sessions in Redis. Make it in the process that uses it, not before a fork."""

    def __init__(
        self, url: str, prefix: str, catalogue_sha256: str, *, remembers: bool
    ) -> None:
        """Prepare connections to a URL such as `redis://localhost:6379/0`.

        The first request connects.

        Args:
            url: Address of the Redis.
            prefix: First part of each key.
            catalogue_sha256: Catalogues that number their tracks differently are kept apart.
            remembers: Remember the latest plays of listeners.

        Raises:
            ConfigError: This is no URL of a Redis.
        """
        try:
            self._pool = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                socket_timeout=limits.REDIS_S,
                socket_connect_timeout=limits.REDIS_S,
                retry=Retry(NoBackoff(), 0),  # `_command` does it
            )
        except ValueError:  # its text may have the password
            raise ConfigError(
                "redis_url: no address of a Redis, such as redis://:PASSWORD@localhost:6379/0; "
                "in a password, write / as %2F and [ as %5B"
            ) from None
        self._local = threading.local()  # each thread's connection
        self._prefix = f"{prefix}:{catalogue_sha256[:12]}:session:"
        self._plays_prefix = f"{prefix}:plays:"
        self._plays_head = bytes.fromhex(catalogue_sha256[:16])
        self._remembers = remembers
        self._ids = count(secrets.randbits(63))
        self._lock = threading.Lock()
        self._down_until_s = 0.0  # 0 while Redis answers

    def hear(
        self, requests: Sequence[Listening], *, is_last: bool = False
    ) -> list[Session | None]:
        """Add the tracks just heard to the sessions, as `LocalSessions` does, in a round trip."""
        keys = [f"{self._prefix}{request.user}" for request in requests]
        if self._remembers:
            keys += [f"{self._plays_prefix}{request.user}" for request in requests]
        values: list[int | bytes] = [
            0 if is_last else round(1000 * limits.SILENCE_S),
            _HEAD.size + limits.SESSION_TRACKS * _RECORD.size,
            limits.MEMORY_DAYS * _DAY_MS,
            _LONGEST_PLAYS,
            self._plays_head,
        ]
        now_s = int(time.time())
        for request in requests:
            values.append(_HEAD.pack(_MARK, next(self._ids)))
            values.append(_RECORD.pack(request.track, request.time))
            values.append(pack_plays([request.played], now_s))
        words = ("EVAL", _APPEND_AND_READ, len(keys), *keys, *values)
        answers: list[bytes] | None = self._ask(list, *words)
        if answers is None:
            return [None] * len(requests)
        count = len(requests)
        plays: list[bytes | None] = [*answers[count:]] or [None] * count
        return [*map(_read_session, answers[:count], plays)]

    def plays_of(self, user: Id) -> bytes | None:
        """Look up the latest plays of a listener; None if they are not remembered."""
        value: bytes | None = None
        if self._remembers:
            value = self._ask(bytes | None, "GET", f"{self._plays_prefix}{user}")
        is_ours = value is not None and value.startswith(self._plays_head)
        return value[8:] if value and is_ours else None

    def erase(self, user: Id) -> None:
        """Delete a listener's session and latest plays.

        Raises:
            UnavailableError: Redis is down.
        """
        keys = (f"{self._prefix}{user}", f"{self._plays_prefix}{user}")
        if self._ask(int, "UNLINK", *keys) is None:
            raise UnavailableError("the session store cannot be reached; ask again")

    def is_ready(self) -> bool:
        """Check that Redis runs a script that writes; during a pause it is not asked."""
        return self._ask(int, "EVAL", _PROBE, 1, self._prefix[:-1]) == 1

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

    def _ask(self, kind: Any, *words: str | int | bytes) -> Any | None:  # noqa: ANN401
        """Ask for the reply to a command, of a kind; None while Redis is down."""
        if self._down_until_s:
            with (
                self._lock
            ):  # a single request tries Redis again, the others do without
                now_s = time.monotonic()
                if now_s < self._down_until_s:
                    return None
                self._down_until_s = now_s + PAUSE_S
        try:
            reply = self._command(*words)
            if not isinstance(reply, kind):  # another program has the port
                raise redis.InvalidResponse(f"{reply!r:.40} is no answer of Redis")
        except (redis.RedisError, OSError) as error:
            if not self._down_until_s:
                logger.warning("Redis fails, and sessions are forgotten (%s)", error)
            self._down_until_s = time.monotonic() + PAUSE_S
            return None
        self._down_until_s = 0.0
        return reply


def _read_session(value: bytes, plays: bytes | None) -> Session:
    _, number = _HEAD.unpack_from(value)
    tracks, times = zip(*_RECORD.iter_unpack(value[_HEAD.size :]), strict=True)
    return Session(f"{number:016x}", tracks, times, plays)
