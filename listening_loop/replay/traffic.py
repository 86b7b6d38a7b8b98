"""Send plays through the service, and keep the predictions of its rankings.

Each listener's plays go in order, listeners side by side. The service is started anew for each
recommender and after each refit, so every recommender answers the same plays. A listener's answers
up to the next refit are a line of a file, written when all are there. An interrupted replay goes on
with the listeners who have no line.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import orjson
from yarl import URL  # a dependency of aiohttp

from listening_loop.errors import LoopError
from listening_loop.replay.plays import NewestPlays
from looplib.files import naming
from looplib.progress import progress

LENGTH = 20  # tracks of a ranking
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)  # seconds, after which an answer is lost
# A prediction: the rank of the next track, 0 outside the ranking; tracks of the ranking that are
# played in the rest of the session; and seconds until the answer.
PREDICTION = ("rank", "hits", "seconds")


def read_answers(file: Path) -> list[dict[str, Any]]:
    """Read the answers of each listener who has them, in the order of the plays."""
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    lines = map(orjson.loads, whole.splitlines())
    return sorted(lines, key=itemgetter("listener", "refits"))


def find_unanswered(
    plays: NewestPlays, refits: int, file: Path
) -> dict[int, list[range]]:
    """Find the sessions after so many refits whose answers are not in a file.

    Returns:
        The positions of the plays of each session, by listener.
    """
    sessions: dict[int, list[range]] = defaultdict(list)
    starts = np.append(np.flatnonzero(plays.opens), len(plays.opens))
    for start, end in pairwise(starts.tolist()):
        if plays.refits[start] == refits:
            sessions[int(plays.listener[start])].append(range(start, end))
    for line in read_answers(file):
        if line["refits"] == refits:
            del sessions[line["listener"]]
    return sessions


def send_plays(
    plays: NewestPlays,
    sessions: Mapping[int, list[range]],
    url: str,
    file: Path,
    connections: int,
) -> None:
    """Send the plays of some sessions, and add the answers to a file.

    Args:
        plays: All plays of the replay.
        sessions: The positions of the plays to send, a range for each session, by listener.
        url: Address of the service.
        file: The file that takes a line for each listener.
        connections: Requests at a time.

    Raises:
        LoopError: The service does not answer, or refuses.
    """
    lines = read_answers(file)  # drops a line that was cut
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    count = sum(map(len, chain.from_iterable(sessions.values())))
    unsent = iter(sessions.items())  # shared by all connections
    sent = 0

    async def send_next(http: aiohttp.ClientSession) -> None:
        nonlocal sent
        for listener, ranges in unsent:
            answers = await _send_listener(http, url, plays, ranges)
            refits = int(plays.refits[ranges[0].start])
            line = {"listener": listener, "refits": refits, **answers}
            with naming(file), file.open("ab", buffering=0) as target:
                target.write(orjson.dumps(line) + b"\n")
            sent += sum(map(len, ranges))
            report(sent)

    async def send_all() -> None:
        client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            headers={"Content-Type": "application/json"},
            timeout=_TIMEOUT,
        )
        async with client as http, asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(send_next(http))

    try:
        with progress(f"Replay of {file.stem}", count, "plays") as report:
            asyncio.run(send_all())
    except* LoopError as errors:
        raise errors.exceptions[0] from None


async def _send_listener(
    http: aiohttp.ClientSession, url: str, plays: NewestPlays, sessions: list[range]
) -> dict[str, Any]:
    """Send a listener's plays of some sessions; the last play of each ends it at the service."""
    user = quote(str(plays.users[sessions[0].start]), safe="")
    to_next = URL(f"{url}/next/{user}", encoded=True)
    to_last = URL(f"{url}/last/{user}", encoded=True)
    predictions = []
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
            hits = len(set(following).intersection(ranking))
            predictions.append((rank, hits, seconds))
            recommended.update(ranking)
    return {"predictions": predictions, "tracks": list(recommended)}


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
