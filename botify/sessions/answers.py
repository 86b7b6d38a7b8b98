"""Answers to requests that named themselves: one sent again gets the same answer, and no second event is logged.

A request may carry a number, `request`, that its client uses for no other. `claim` says that it is
being answered, `keep` what was answered, once the event is in the log and before the answer is
sent. A process that dies between the two leaves its claim behind; the process that takes the claim
over looks in the log, where the event of such a request has its number.
"""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from botify.model.catalogue import Catalogue, Id
from botify.sessions.local import make_tickets

PENDING_S = 2.0  # after which the claim of a process that died is taken over
# after which a request that is answered at last is refused: it may have been taken over soon
LATE_S = 1.0
_POLL_S = 0.005
_CLOCKS_S = 60.0  # by which clocks of machines may differ
ENDED = -1  # the answer to `last`, in place of a track

Key = tuple[str, Id, int]
"""(message, listener, number of the request)."""

ReadLog = Callable[..., Iterator[tuple[Key, int, float]]]
"""`logged_answers` of a folder and a catalogue."""


class AnswersError(Exception):
    """It cannot be known whether a request was answered before."""


class LocalAnswers:
    """Answers in the memory of one process; what an earlier process logged is read before the first claim."""

    def __init__(
        self, read_log: ReadLog, silence_s: float, most: int = 1_000_000
    ) -> None:
        """Keep answers for `silence_s`, and of more than `most` the latest."""
        self._silence_s, self._most = silence_s, most
        # when, and None while under way
        self._answers: OrderedDict[Key, tuple[float, int | None]] = OrderedDict()
        self._read_log: ReadLog | None = read_log  # None once it was read
        self._settled = threading.Condition()

    def claim(self, keys: Sequence[Key]) -> list[int | None]:
        """Claim requests; returns the earlier answer of each, None where there is none and the claim is made.

        A request that is being answered elsewhere is waited for.

        Raises:
            AnswersError: It cannot be known; nothing is claimed.
        """
        now_s = time.time()
        with self._settled:
            if self._read_log:
                for logged, answer, at_s in self._read_log(now_s - self._silence_s):
                    self._answers[logged] = at_s, answer
                self._read_log = None
            self._settled.wait_for(
                lambda: all(
                    self._answers.get(key, (0.0, 0))[1] is not None for key in keys
                )
            )
            found = [self._answers.get(key, (0.0, None)) for key in keys]
            earlier = [
                answer if at_s > now_s - self._silence_s else None
                for at_s, answer in found
            ]
            for key, known in zip(keys, earlier, strict=True):
                if known is None:
                    self._answers[key] = now_s, None
        return earlier

    def keep(self, keys: Sequence[Key], answers: Sequence[int]) -> None:
        """Keep the answers to claimed requests."""
        now_s = time.time()
        with self._settled:
            for key, answer in zip(keys, answers, strict=True):
                self._answers[key] = now_s, answer
                self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
            self._settled.notify_all()

    def release(self, keys: Sequence[Key]) -> None:
        """End claims without an answer."""
        with self._settled:
            for key in keys:
                self._answers.pop(key, None)
            self._settled.notify_all()


# Sets a value where another one stands, or deletes it.
_REPLACE = b"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


class RedisAnswers:
    """Answers in Redis: `?ticket:seconds since the epoch` while a request is being answered, then the track."""

    def __init__(
        self,
        call: Callable[..., list[Any] | None],
        prefix: str,
        read_log: ReadLog,
        silence_s: float,
    ) -> None:
        """Keep answers for `silence_s`, by commands that `call` sends, under keys that begin with a prefix."""
        self._call, self._prefix, self._read_log, self._silence_ms = (
            call,
            prefix,
            read_log,
            round(silence_s * 1000),
        )
        self._mine: dict[Key, bytes] = {}  # claims of this process
        self._tickets = make_tickets()

    def claim(self, keys: Sequence[Key]) -> list[int | None]:
        """See `LocalAnswers`."""
        earlier: list[int | None] = []
        try:
            earlier.extend(map(self._claim, keys))
        except AnswersError:
            self.release(
                [
                    key
                    for key, answer in zip(keys, earlier, strict=False)
                    if answer is None
                ]
            )
            raise
        return earlier

    def keep(self, keys: Sequence[Key], answers: Sequence[int]) -> None:
        """See `LocalAnswers`."""
        for key in keys:
            del self._mine[key]
        kept = zip(keys, answers, strict=True)
        self._call(
            *[
                ("SET", self._name(key), b"%d" % answer, "PX", self._silence_ms)
                for key, answer in kept
            ]
        )

    def release(self, keys: Sequence[Key]) -> None:
        """See `LocalAnswers`."""
        for key in keys:
            with contextlib.suppress(AnswersError):  # then it will be taken over
                self._replace(key, self._mine.pop(key), b"")

    def _claim(self, key: Key) -> int | None:
        mine = b"?%d:%d" % (next(self._tickets), time.time())
        pending, deadline = b"", 0.0
        while True:
            command = ("SET", self._name(key), mine, "NX", "PX", self._silence_ms)
            is_set, value = self._ask(command, ("GET", self._name(key)))
            if (
                is_set or value == mine
            ):  # the latter if it was sent twice over a broken connection
                self._mine[key] = mine
                return None
            if value and not value.startswith(b"?"):
                return int(value)
            now_s = time.monotonic()
            if value != pending:
                pending, deadline = value, now_s + PENDING_S
            elif now_s > deadline and self._replace(key, pending, mine):
                self._mine[key] = mine
                return self._find(key, float(pending.partition(b":")[2]))
            time.sleep(_POLL_S)

    def _find(self, key: Key, claimed_s: float) -> int | None:
        """Look in the log for the answer to a request whose claim was taken over."""
        for logged, answer, _ in self._read_log(claimed_s - _CLOCKS_S, key[2]):
            if logged == key:
                self.keep([key], [answer])
                return answer
        return None

    def _replace(self, key: Key, value: bytes, by: bytes) -> bool:
        (replaced,) = self._ask(
            ("EVAL", _REPLACE, 1, self._name(key), value, by, self._silence_ms)
        )
        return bool(replaced)

    def _ask(self, *commands: Sequence[Any]) -> list[Any]:
        replies = self._call(*commands)
        if replies is None:
            raise AnswersError(
                "the session store cannot be reached, so it is unknown whether this was answered before"
            )
        return replies

    def _name(self, key: Key) -> bytes:
        message, user, number = key
        return f"{self._prefix}{message}:{user}:{number}".encode()


class _LoggedAnswer(msgspec.Struct):
    message: str
    timestamp: int
    user: Id
    request: int
    recommendation: Id | None = None


_decode = msgspec.json.Decoder(_LoggedAnswer).decode


def logged_answers(
    folder: Path, catalogue: Catalogue, since_s: float, number: int | None = None
) -> Iterator[tuple[Key, int, float]]:
    """Read the answers to numbered requests from the event log, its open segments included.

    Events before `since_s`, seconds since the epoch, do not count; with a number, only that one
    does.

    Returns:
        (key, answer, seconds since the epoch) of each.
    """
    wanted = b'"request":' if number is None else b'"request":%d}' % number
    for path in [*folder.glob("events-*.jsonl"), *folder.glob(".events-*.jsonl")]:
        try:
            if path.stat().st_mtime < since_s:
                continue
            text = path.read_bytes()
        except FileNotFoundError:  # an open segment that was closed meanwhile
            text = b"".join(
                closed.read_bytes()
                for closed in folder.glob(f"{path.stem[1:]}-crc*.jsonl")
            )
        for line in text.split(b"\n")[:-1] if wanted in text else ():
            if wanted in line:
                event = _decode(line)
                at_s = event.timestamp / 1000
                if at_s >= since_s:
                    track = (
                        None
                        if event.recommendation is None
                        else catalogue.number(event.recommendation)
                    )
                    answer = ENDED if track is None else track
                    yield (event.message, event.user, event.request), answer, at_s
