"""The service as listeners use it: requests over HTTP, sent again only where that cannot do anything twice.

One listener a request: `POST /next/<user>` and `/last/<user>` with `{"track", "time"}`, as the
original course service has them. Many: `POST /next` and `/last` with `{"requests": [{"user",
"track", "time"}…]}`, answered with `{"responses": […]}` in the same order.

Sent again, with growing pauses: a request that never left, as no connection was made, and one that
the service answered with a 5xx of its own, which says that it did not do it. Not sent again: a
request whose answer was lost, as the service may have logged it; a gateway's 502 and 504 say no
more than that.
"""

import asyncio
import time
from contextlib import suppress

import aiohttp
import numpy as np
import orjson
from yarl import URL

from looplib.arrays import IntArray
from sim.errors import SimError
from sim.remote.config import RemoteConfig
from sim.remote.summary import Counts

UNUSABLE = -1  # instead of a track
ANSWER_LOST = "answer lost"
SERVICE_FAILED = "service answered 5xx"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_LOST_AT_GATEWAY = (502, 504)
_MOST_IN_A_ROW = (
    20  # requests without a good answer in between, after which the run is given up
)
_UNUSED_HEADERS = ("Accept", "Accept-Encoding", "User-Agent")


class FailedError(Exception):
    """A request has no good answer, and the text says why.

    `ANSWER_LOST`: the service may have acted on it. `SERVICE_FAILED`, for as long as there was
    patience: it did not.
    """


class StoppedError(Exception):
    """The run ends, and the request was not done."""


Answer = tuple[int, bytes]
"""The status and the body of a response."""


class Service:
    """A service that answers several callers at a time, who share `stop`, which ends the run, and `counts`."""

    def __init__(
        self, config: RemoteConfig, tracks: int, stop: asyncio.Event, counts: Counts
    ) -> None:
        """Name a service with a catalogue of so many tracks; `aclose` it, in the event loop that made it."""
        self.stop, self.counts = stop, counts
        self._url, self._tracks = URL(config.address), tracks
        self._patience_s, self._has_batches = config.patience_s, config.batch > 0
        self._failed_in_a_row = 0  # requests since the last good answer
        silence_s = config.timeout_s
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.pools),
            timeout=aiohttp.ClientTimeout(
                total=2 * silence_s, sock_connect=silence_s, sock_read=silence_s
            ),
            headers={"Content-Type": "application/json"},
            skip_auto_headers=_UNUSED_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def next(
        self, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> IntArray:
        """Tell the share (users,), in hundredths, that each listener heard of the track heard last.

        Returns:
            The tracks recommended (users,), `UNUSABLE` where the answer holds none of the
                catalogue.

        Raises:
            FailedError: There is no good answer.
            StoppedError: The run ends: it was interrupted, nothing listens, or the request was
                refused as wrong.
        """
        body = await self._tell("next", users, tracks, hundredths)
        try:
            responses = orjson.loads(body)
            responses = responses["responses"] if self._has_batches else [responses]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            responses = None
        if not isinstance(responses, list) or len(responses) != len(users):
            return np.full(len(users), UNUSABLE)
        pairs = zip(responses, users.tolist(), strict=True)
        return np.array(
            [_read_track(response, user, self._tracks) for response, user in pairs],
            dtype=np.int64,
        )

    async def last(
        self, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> None:
        """Tell what each listener heard last, and end the sessions; arguments and errors are those of `next`."""
        await self._tell("last", users, tracks, hundredths)

    async def _ask(self, path: str, body: bytes) -> Answer | None:
        """Send a request, again while nothing listens or it is answered with 5xx, until patience ends; None is lost."""
        give_up_at, pause_s = float("inf"), _FIRST_PAUSE_S
        # parsing it would cost a fifth
        url = self._url.with_path(self._url.raw_path.rstrip("/") + path, encoded=True)
        while True:
            answer = None
            try:
                async with self._http.post(
                    url, data=body, allow_redirects=False
                ) as response:
                    answer = response.status, await response.read()
                reason = f"status {response.status}"
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ConnectionTimeoutError,
            ) as error:
                reason = f"not connected: {getattr(error, 'strerror', None) or error}"
            except (aiohttp.ClientError, OSError):
                return None
            if answer and (answer[0] < 500 or answer[0] in _LOST_AT_GATEWAY):
                return answer
            now = time.monotonic()
            give_up_at = min(give_up_at, now + self._patience_s)
            if now >= give_up_at:
                if answer:
                    return answer
                self._fail(f"{self._url}: {reason}; is the service running?")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause_s)
                raise StoppedError
            self.counts.retries[reason] += 1
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _fail(self, message: str) -> None:
        """End the run; the first reason counts."""
        self.counts.error = self.counts.error or SimError(message)
        self.stop.set()

    async def _tell(
        self, what: str, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> bytes:
        columns = zip(
            users.tolist(), tracks.tolist(), (hundredths / 100).tolist(), strict=True
        )
        if self._has_batches:
            requests = [
                {"user": user, "track": track, "time": share}
                for user, track, share in columns
            ]
            path, body = f"/{what}", orjson.dumps({"requests": requests})
        else:
            ((user, track, share),) = columns
            path, body = (
                f"/{what}/{user}",
                orjson.dumps({"track": track, "time": share}),
            )
        status, found = await self._ask(path, body) or (_LOST_AT_GATEWAY[0], b"")
        if status in _LOST_AT_GATEWAY:
            reason, said = ANSWER_LOST, "answers in a row were lost"
        elif status >= 500:
            said = f"requests in a row failed, the last with {status}: {_error_text(found)}"
            reason = SERVICE_FAILED
        elif status >= 300:
            self._fail(
                f"{self._url}{path}: refused with {status}: {_error_text(found)}"
            )
            raise StoppedError
        else:
            self._failed_in_a_row = 0
            self.counts.requests += 1
            return found
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _MOST_IN_A_ROW:
            self._fail(f"{self._url}{path}: {self._failed_in_a_row} {said}")
        raise FailedError(reason)


def _error_text(body: bytes) -> str:
    """Return the service's error message, in one short line."""
    try:
        text = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:200]


def _read_track(response: object, user: int, catalogue: int) -> int:
    track = (
        response.get("track")
        if isinstance(response, dict) and response.get("user") == user
        else None
    )
    return track if type(track) is int and 0 <= track < catalogue else UNUSABLE
