"""Send plays through the service, and keep what its rankings predicted.

Each listener's plays go in their order, one after the other; listeners side by side. The service
is begun anew for each recommender and after each refit, so every recommender answers the same
plays. A listener's answers up to the next refit are a line of a file, written once all are there:
a replay that was interrupted goes on with those who have none.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import orjson
from yarl import URL  # which aiohttp brings

from listening_loop.errors import LoopError
from listening_loop.replay.plays import NewestPlays
from looplib.arrays import FloatArray
from looplib.files import naming

LENGTH = 20  # of the rankings
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)  # seconds, after which an answer is lost


COMPARED = "precision@20"
REST = "rest@20"  # unknown where sessions are
METRICS = ("precision@1", COMPARED, "mrr", REST)
SECONDS = "seconds"  # until the answer


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read the answers of each listener who has them, in the order of the plays."""
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    lines = map(orjson.loads, whole.splitlines())
    return sorted(lines, key=itemgetter("listener", "refits"))


def find_unanswered(
    plays: NewestPlays, file: Path, refits: int
) -> dict[int, list[range]]:
    """Find the sessions after so many refits whose answers are not in a file, by listener."""
    sessions = plays.sessions(refits)
    for line in read_lines(file):
        if line["refits"] == refits:
            del sessions[line["listener"]]
    return sessions


def read_answers(file: Path) -> tuple[dict[str, FloatArray], int]:
    """Read the answers of all listeners from a file.

    Returns:
        The metrics and the seconds of each play with a next one; how many distinct tracks were
        recommended.
    """
    lines = read_lines(file)
    values = {
        name: np.concatenate([np.array(line[name], float) for line in lines])
        for name in (*METRICS, SECONDS)
    }
    return values, len(set().union(*(line["tracks"] for line in lines)))


def send_plays(
    plays: NewestPlays,
    sessions: Mapping[int, list[range]],
    url: str,
    file: Path,
    connections: int,
    report: Callable[[int], None],
) -> None:
    """Send the plays of some sessions, and add the answers to a file.

    Args:
        plays: All that are replayed.
        sessions: Positions of those that are sent, by listener.
        url: Address of the service.
        file: Takes a line for each listener.
        connections: Requests at a time.
        report: Is called with the number of plays that were answered.

    Raises:
        LoopError: The service does not answer, or refuses.
    """
    lines = read_lines(file)
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    unsent = iter(sessions.items())  # of all tasks together
    sent = 0

    async def send_next(http: aiohttp.ClientSession) -> None:
        nonlocal sent
        for listener, some in unsent:
            answers = await _send_listener(http, url, plays, some)
            refits = int(plays.refits[some[0].start])
            line = {"listener": listener, "refits": refits, **answers}
            with naming(file), file.open("ab", buffering=0) as target:
                target.write(orjson.dumps(line) + b"\n")
            sent += sum(map(len, some))
            report(sent)

    async def send_all() -> None:
        connector = aiohttp.TCPConnector(limit=connections)
        headers = {"Content-Type": "application/json"}
        client = aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, headers=headers
        )
        async with client as http, asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(send_next(http))

    try:
        asyncio.run(send_all())
    except* LoopError as errors:
        raise errors.exceptions[0] from None


async def _send_listener(
    http: aiohttp.ClientSession, url: str, plays: NewestPlays, sessions: list[range]
) -> dict[str, Any]:
    """Send a listener's plays of some sessions, whose last ones are the `last` of the service."""
    user = quote(str(plays.users[sessions[0].start]), safe="")
    to_next = URL(f"{url}/next/{user}", encoded=True)
    to_last = URL(f"{url}/last/{user}", encoded=True)
    values: dict[str, list[float]] = {name: [] for name in (*METRICS, SECONDS)}
    recommended: set[Any] = set()
    for session in sessions:
        for play in session:
            request = {"track": plays.tracks[play], "time": plays.times[play]}
            request["request"] = play
            if play == session[-1]:
                await _post(http, to_last, request)
                continue
            began = time.perf_counter()
            answer = await _post(http, to_next, request | {"n": LENGTH})
            seconds = round(time.perf_counter() - began, 6)
            ranking = answer["tracks"]
            following = plays.tracks[play + 1 : session.stop]
            rank = 0
            if following[0] in ranking:
                rank = ranking.index(following[0]) + 1
            rest = len(set(following).intersection(ranking)) / LENGTH
            scored = (rank == 1, rank > 0, 1 / rank if rank else 0, rest, seconds)
            for column, value in zip(values.values(), scored, strict=True):
                column.append(value)
            recommended.update(ranking)
    return {**values, "tracks": list(recommended)}


async def _post(
    http: aiohttp.ClientSession, url: URL, request: dict[str, Any]
) -> dict[str, Any]:
    try:
        async with http.post(url, data=orjson.dumps(request)) as response:
            content = await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise LoopError(
            f"the service stopped ({error or type(error).__name__}); the same command goes on"
        ) from None
    if response.status != HTTPStatus.OK:
        reason = content.decode(errors="replace")[:200]
        raise LoopError(f"the service refuses ({response.status}): {reason}")
    return dict(orjson.loads(content))
