"""Send requests to the service, each again until it is answered.

`POST /next` and `/last` with `{"requests": [{"user", "track", "time", "request"}…]}`, answered with
`{"responses": […]}` in the same order.

A request without a good answer, whether it was lost, refused with 429 or a 5xx or never left, is
sent again under its number, with growing pauses, or after the pause that `Retry-After` names. The
service may log it twice, and answer with another track; readers of the log count a listener's
number once.
"""

import asyncio
import itertools
import time
from http import HTTPStatus

import aiohttp
import numpy as np
import orjson

from looplib.arrays import IntArray
from sim.config import SimulateConfig
from sim.errors import SimError

# more requests at a time than a service has threads keep all of them busy
CONCURRENCY = 64
TIMEOUT_S = 10.0  # a later answer counts as lost
PATIENCE_S = 10.0  # time in which a request without an answer is sent again
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class RecommendationClient:
    """A client for several callers."""

    def __init__(self, config: SimulateConfig, tracks: int) -> None:
        """Prepare requests to a service whose catalogue has `tracks` tracks; `aclose` it."""
        self.retries = 0  # requests sent again
        self._address = str(config.url).rstrip("/")
        self._tracks = tracks
        # no other run of the same listeners, earlier or later, has these numbers
        self._numbers = itertools.count(time.time_ns() // 1000)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Content-Type": "application/json"},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def next(
        self, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> IntArray:
        """Report the last track of each listener (users,), and its share in hundredths.

        Returns:
            The tracks recommended (users,).

        Raises:
            SimError: There is no good answer.
        """
        content = await self.report("next", users, tracks, hundredths)
        try:
            responses = orjson.loads(content)["responses"]
            answers = [(response["user"], response["track"]) for response in responses]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            answers = []
        recommended = [
            track
            for _, track in answers
            if type(track) is int and 0 <= track < self._tracks
        ]
        if [user for user, _ in answers] != users.tolist() or len(recommended) < len(
            answers
        ):
            raise SimError(
                f"{self._address}/next: the answer has no track of this world "
                f"for each listener: {_shorten(content)}"
            )
        return np.array(recommended, dtype=np.int64)

    async def report(
        self, message: str, users: IntArray, tracks: IntArray, hundredths: IntArray
    ) -> bytes:
        """Report the last track of each listener, with the message `next` or `last`.

        The request is sent until it is answered.

        Returns:
            The body of the answer.

        Raises:
            SimError: There is no good answer.
        """
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
        url = f"{self._address}/{message}"
        body = orjson.dumps({"requests": requests})
        give_up_at = float("inf")
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._http.post(
                    url, data=body, allow_redirects=False
                ) as response:
                    content = await response.read()
            except (aiohttp.ClientError, OSError) as error:
                reason = f"no answer ({error or type(error).__name__})"
            else:
                if response.status == HTTPStatus.OK:
                    return content
                status = response.status
                reason = f"refused with {status}: {_shorten(content)}"
                if status != HTTPStatus.TOO_MANY_REQUESTS and status < 500:
                    raise SimError(f"{url}: {reason}")
                asked = response.headers.get("Retry-After", "")
                pause_s = max(pause_s, int(asked) if asked.isdecimal() else 0)
            now = time.monotonic()
            give_up_at = min(give_up_at, now + PATIENCE_S)
            if now >= give_up_at:
                raise SimError(f"{url}: {reason}; is the service running?")
            await asyncio.sleep(pause_s)
            self.retries += 1
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _shorten(content: bytes) -> str:
    words = content.decode(errors="replace").split()
    return " ".join(words)[:200]
