"""What listeners say to the service and what it answers: one listener a request, or many.

One: `POST /next/<user>` and `/last/<user>` with `{"track", "time"}`, as the original service has them. Many: `POST
/next` and `/last` with `{"requests": [{"user", "track", "time"}…]}`, answered with `{"responses": […]}` in this order.
"""

from typing import Protocol

import numpy as np
import orjson

from looplib.arrays import IntArray
from sim.remote.caller import Caller

UNUSABLE = -1  # in place of a track
_TIMES = [hundredths / 100 for hundredths in range(101)]
_TIME_TEXTS = [str(time).encode() for time in _TIMES]


class Talk(Protocol):
    """How listeners ask."""

    async def next(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> IntArray:
        """Says what each listener just heard, and returns the tracks recommended.

        Args:
            users: Different listeners.
            tracks: The track that each heard last.
            hundredths: The share of it that was heard, in hundredths.

        Returns:
            Track ids (users,), `UNUSABLE` where the answer holds none of the catalogue.
        """

    async def last(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        """Says what each listener heard last, and ends the sessions."""


class OneByOne:
    """One listener a request."""

    def __init__(self, caller: Caller, tracks: int) -> None:
        """Asks a service that has a catalogue of so many tracks."""
        self._caller, self._tracks = caller, tracks

    async def next(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> IntArray:
        """See `Talk`; of one listener."""
        ((user, body),) = _bodies(users, tracks, hundredths)
        return _read_tracks([_parse(await self._caller.post(f"/next/{user}", body))], users, self._tracks)

    async def last(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        """See `Talk`; of any number, one after the other."""
        for user, body in _bodies(users, tracks, hundredths):
            await self._caller.post(f"/last/{user}", body)


class Batches:
    """Many listeners a request."""

    def __init__(self, caller: Caller, tracks: int) -> None:
        """Asks a service that has a catalogue of so many tracks."""
        self._caller, self._tracks = caller, tracks

    async def next(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> IntArray:
        """See `Talk`."""
        answer = _parse(await self._caller.post("/next", _batch(users, tracks, hundredths)))
        responses = answer.get("responses") if isinstance(answer, dict) else None
        if not isinstance(responses, list) or len(responses) != len(users):
            return np.full(len(users), UNUSABLE)
        return _read_tracks(responses, users, self._tracks)

    async def last(self, users: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        """See `Talk`."""
        await self._caller.post("/last", _batch(users, tracks, hundredths))


def _bodies(users: IntArray, tracks: IntArray, hundredths: IntArray) -> list[tuple[int, bytes]]:
    return [
        (user, b'{"track":%d,"time":%s}' % (track, _TIME_TEXTS[share]))
        for user, track, share in zip(users.tolist(), tracks.tolist(), hundredths.tolist(), strict=True)
    ]


def _batch(users: IntArray, tracks: IntArray, hundredths: IntArray) -> bytes:
    columns = zip(users.tolist(), tracks.tolist(), hundredths.tolist(), strict=True)
    requests = [{"user": user, "track": track, "time": _TIMES[share]} for user, track, share in columns]
    return orjson.dumps({"requests": requests})


def _parse(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _read_tracks(responses: list[object], users: IntArray, catalogue: int) -> IntArray:
    """The track of each answer, where it is this listener's and a track of the catalogue."""
    try:
        pairs = [(answer["user"], answer["track"]) for answer in responses]  # type: ignore[index]  # whatever it is
        found = np.array(pairs)
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != (len(users), 2) or found.dtype.kind != "i":
        if len(users) == 1:
            return np.full(1, UNUSABLE)
        return np.concatenate([_read_tracks([one], users[i : i + 1], catalogue) for i, one in enumerate(responses)])
    is_usable = (found[:, 0] == users) & (found[:, 1] >= 0) & (found[:, 1] < catalogue)
    return np.where(is_usable, found[:, 1], UNUSABLE)
