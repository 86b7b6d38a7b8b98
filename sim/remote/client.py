"""Requests to the service, each sent again until it is answered.

One listener a request: `POST /next/<user>` and `/last/<user>` with `{"track", "time", "request"}`,
the number of the request beside what the original course service has. Many: `POST /next` and
`/last` with `{"requests": [{"user", "track", "time", "request"}…]}`, answered with
`{"responses": […]}` in the same order.

A request without a good answer, whether it was lost, refused with a 5xx or never left, is sent
again under its number, with growing pauses. The service may log it twice, and answer with another
track: who reads the log counts a listener's number once.
"""

import asyncio
import itertools
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import numpy as np
import orjson
from yarl import URL

from looplib.arrays import IntArray
from sim.errors import SimError
from sim.remote.config import RemoteConfig

ANSWER_LOST = "answer lost"
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


@dataclass
class Counts:
    """Sums over whole sessions, and what happened to the others."""

    sessions: int = 0  # whole ones
    tracks: int = 0  # played in them, the organic ones included
    hundredths: int = 0  # shares heard of these tracks, summed
    interrupted: int = 0  # sessions ended early, as the run was
    requests: int = 0  # answered
    # requests sent again, by reason
    retries: Counter[str] = field(default_factory=Counter)
    error: SimError | None = None  # why the run ended before all sessions were through


class StoppedError(Exception):
    """The run ends, and the request has no answer."""


class ServiceClient:
    """A client for several callers, who share `stop`, which ends the run, and `counts`."""

    def __init__(
        self, config: RemoteConfig, tracks: int, stop: asyncio.Event, counts: Counts
    ) -> None:
        """Prepare requests to a service whose catalogue has so many tracks; `aclose` it."""
        self.stop = stop
        self.counts = counts
        self._url = URL(config.address)
        self._tracks = tracks
        self._patience_s = config.patience_s
        self._has_batches = config.batch > 0
        # no other run of the same listeners, earlier or later, has these numbers
        self._numbers = itertools.count(time.time_ns() // 1000)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.concurrency),
            timeout=aiohttp.ClientTimeout(total=config.timeout_s),
            headers={"Content-Type": "application/json"},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def next(
        self, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> IntArray:
        """Report what each listener heard last (users,), its share in hundredths.

        Returns:
            The tracks recommended (users,).

        Raises:
            StoppedError: The run ends: it was interrupted, or there is no good answer.
        """
        content = await self._report("next", users, tracks, hundredths)
        try:
            document = orjson.loads(content)
            responses = document["responses"] if self._has_batches else [document]
            answered = [response["user"] for response in responses]
            recommended = [response["track"] for response in responses]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            answered = recommended = []
        are_known = all(
            type(track) is int and 0 <= track < self._tracks for track in recommended
        )
        if answered != users.tolist() or not are_known:
            self._fail(
                f"{self._url}/next: the answer has no track of this world "
                f"for each listener: {_error_text(content)}"
            )
            raise StoppedError
        return np.array(recommended, dtype=np.int64)

    async def last(
        self, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> None:
        """Report what each listener heard last, and end the sessions.

        Raises:
            StoppedError: The run ends: it was interrupted, or there is no good answer.
        """
        await self._report("last", users, tracks, hundredths)

    async def _report(
        self, message: str, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> bytes:
        columns = zip(
            users.tolist(),
            tracks.tolist(),
            (hundredths / 100).tolist(),
            self._numbers,
            strict=False,  # numbers have no end
        )
        requests = [
            {"user": user, "track": track, "time": share, "request": number}
            for user, track, share, number in columns
        ]
        if self._has_batches:
            return await self._post(f"/{message}", {"requests": requests})
        (request,) = requests
        user = request.pop("user")
        return await self._post(f"/{message}/{user}", request)

    async def _post(self, path: str, document: object) -> bytes:
        """Send a request until it is answered; return the answer's body."""
        body = orjson.dumps(document)
        # parsing the whole address would cost a fifth
        url = self._url.with_path(self._url.raw_path.rstrip("/") + path, encoded=True)
        give_up_at = float("inf")
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._http.post(
                    url, data=body, allow_redirects=False
                ) as response:
                    content = await response.read()
            except aiohttp.ClientConnectorError as error:
                reason = f"not connected: {error.strerror or error}"
            except (aiohttp.ClientError, OSError):
                reason = ANSWER_LOST
            else:
                if response.status == HTTPStatus.OK:
                    self.counts.requests += 1
                    return content
                reason = f"status {response.status}"
                if response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._fail(
                        f"{self._url}{path}: refused with {response.status}: "
                        f"{_error_text(content)}"
                    )
            now = time.monotonic()
            give_up_at = min(give_up_at, now + self._patience_s)
            if now >= give_up_at and not self.stop.is_set():
                self._fail(f"{self._url}{path}: {reason}; is the service running?")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause_s)
                raise StoppedError
            self.counts.retries[reason] += 1
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _fail(self, message: str) -> None:
        """End the run; the first reason counts."""
        self.counts.error = self.counts.error or SimError(message)
        self.stop.set()


def _error_text(body: bytes) -> str:
    """Return the service's error message, in one short line."""
    try:
        text = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:200]
