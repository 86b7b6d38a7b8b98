"""Send plays through the service, and keep what its rankings predicted.

Each listener's plays go in their order, one after the other; listeners side by side. The service
is begun anew for each recommender, so every one of them answers the same plays. A listener's
answers are a line of a file, written once all are there: a replay that was interrupted goes on
with the listeners who have none.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import orjson
from yarl import URL  # which aiohttp brings

from listening_loop.errors import LoopError
from listening_loop.replay.plays import Plays
from looplib.arrays import FloatArray, IntArray

LENGTH = 20  # of the rankings
_TIMEOUT_S = 60.0  # after which an answer counts as lost


@dataclass(frozen=True)
class Answers:
    """What a recommender predicted, for each play with a next one in its session, in order."""

    ranks: IntArray  # of the next track in the ranking, from 1; 0 where it is not there
    rest: IntArray  # tracks of the ranking that are played in the rest of the session
    seconds: FloatArray  # until the answer
    recommended: int  # distinct tracks, by anybody


def send_plays(
    plays: Plays, url: str, file: Path, connections: int, report: Callable[[int], None]
) -> None:
    """Send the plays of all listeners whose answers are not in a file yet, and add them to it.

    Args:
        plays: What is sent.
        url: Address of the service.
        file: Takes a line for each listener.
        connections: Requests at a time.
        report: Is called with the number of plays whose answers are in the file.

    Raises:
        LoopError: The service does not answer, or refuses.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    whole, _, torn = file.read_bytes().rpartition(b"\n")
    if torn:
        file.write_bytes(whole + b"\n" if whole else b"")
    done = {line["listener"] for line in _read_lines(file)}
    try:
        asyncio.run(_Traffic(plays, url, file, done, report).run(connections))
    except* LoopError as errors:
        raise errors.exceptions[0] from None


def is_answered(plays: Plays, file: Path) -> bool:
    """Check whether a file has the answers of all listeners."""
    return file.exists() and file.read_bytes().count(b"\n") == len(plays.starts) - 1


def read_answers(file: Path) -> Answers:
    """Read the answers of all listeners from a file."""
    lines = sorted(_read_lines(file), key=lambda line: line["listener"])
    columns = {
        name: np.concatenate([np.array(line[name], kind) for line in lines])
        for name, kind in (("ranks", np.int64), ("rest", np.int64), ("seconds", float))
    }
    recommended = set().union(*(line["tracks"] for line in lines))
    return Answers(**columns, recommended=len(recommended))


def _read_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        yield from map(orjson.loads, lines)


class _Traffic:
    """The plays that are under way to a service."""

    def __init__(
        self,
        plays: Plays,
        url: str,
        file: Path,
        done: set[int],
        report: Callable[[int], None],
    ) -> None:
        """Queue the listeners who are not done."""
        self._plays = plays
        self._url = url
        self._file = file
        listeners = range(len(plays.starts) - 1)
        self._queue = deque(number for number in listeners if number not in done)
        self._report = report
        counts = np.diff(plays.starts)
        self._sent = int(counts[list(done)].sum())

    async def run(self, connections: int) -> None:
        """Send all plays, those of so many listeners at a time."""
        self._report(self._sent)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=connections),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                headers={"Content-Type": "application/json"},
            ) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(connections):
                group.create_task(self._work(http))

    async def _work(self, http: aiohttp.ClientSession) -> None:
        while self._queue:
            listener = self._queue.popleft()
            answers = await self._send_listener(http, listener)
            with self._file.open("ab", buffering=0) as file:
                file.write(orjson.dumps({"listener": listener, **answers}) + b"\n")

    async def _send_listener(
        self, http: aiohttp.ClientSession, listener: int
    ) -> dict[str, Any]:
        plays = self._plays
        user = quote(str(plays.users[plays.starts[listener]]), safe="")
        to_next, to_last = (
            URL(f"{self._url}/{message}/{user}", encoded=True)
            for message in ("next", "last")
        )
        ranks: list[int] = []
        rest: list[int] = []
        seconds: list[float] = []
        recommended: set[Any] = set()
        for session in plays.sessions_of(listener):
            for play in session[:-1]:
                began = time.perf_counter()
                ranking = (await self._post(http, to_next, play, n=LENGTH))["tracks"]
                seconds.append(round(time.perf_counter() - began, 6))
                following = plays.tracks[play + 1 : session.stop]
                is_hit = following[0] in ranking
                ranks.append(ranking.index(following[0]) + 1 if is_hit else 0)
                rest.append(len(set(following).intersection(ranking)))
                recommended.update(ranking)
            await self._post(http, to_last, session[-1])
        tracks = list(recommended)
        return {"ranks": ranks, "rest": rest, "seconds": seconds, "tracks": tracks}

    async def _post(
        self, http: aiohttp.ClientSession, url: URL, play: int, **more: int
    ) -> dict[str, Any]:
        plays = self._plays
        body = {
            "track": plays.tracks[play],
            "time": plays.times[play],
            "request": play,
            **more,
        }
        try:
            async with http.post(url, data=orjson.dumps(body)) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise LoopError(
                f"the service stopped ({error or type(error).__name__}); the same command goes on"
            ) from None
        if response.status != HTTPStatus.OK:
            reason = content.decode(errors="replace")[:200]
            raise LoopError(f"the service refuses ({response.status}): {reason}")
        self._sent += 1
        self._report(self._sent)
        answer: dict[str, Any] = orjson.loads(content)
        return answer
