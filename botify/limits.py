"""Limit the requests that wait for a thread; what comes beyond is refused at once, with 503.

A limit for each listener begins here, too: a class that `botify.service.Service.answer` asks before
anything else, and that raises an error of `botify.errors` with status 429.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from werkzeug.exceptions import ServiceUnavailable

LATER = "ask again in a second"
RETRY_AFTER = "1"  # seconds, the header of answers with status 429 or 503
_KEPT = 0.9  # of the mean time of a request, when the next one is counted in


class LimitedThreads:
    """Threads for requests of one kind, of which only so many may wait."""

    def __init__(
        self, threads: int, *, most_waiting: int, most_wait_s: float = 0.0
    ) -> None:
        """Start no thread yet.

        Args:
            threads: That answer at once.
            most_waiting: Requests that may wait or be answered, however long each takes.
            most_wait_s: More may wait where all will have been answered so soon, in seconds.
        """
        self._pool = ThreadPoolExecutor(threads)
        self._threads = threads
        self._most_waiting = most_waiting
        self._most_wait_s = most_wait_s
        self._waiting = 0
        self._mean_s = 0.0  # that a request takes

    async def run(self, answer: Callable[[Any], Any], request: object) -> Any:  # noqa: ANN401
        """Have a thread answer a request.

        Raises:
            HTTPException: Too many wait.
        """
        wait_s = self._waiting * self._mean_s / self._threads
        if self._waiting >= self._most_waiting and wait_s >= self._most_wait_s:
            raise ServiceUnavailable(f"too many requests at once; {LATER}")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._time, answer, request)
        finally:
            self._waiting -= 1

    def shutdown(self) -> None:
        """Wait for the requests under way; none may come after."""
        self._pool.shutdown()

    def _time(self, answer: Callable[[Any], Any], request: object) -> Any:  # noqa: ANN401
        start_s = time.perf_counter()
        try:
            return answer(request)
        finally:
            took_s = time.perf_counter() - start_s
            self._mean_s = _KEPT * self._mean_s + (1 - _KEPT) * took_s
