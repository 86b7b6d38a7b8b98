"""Send plays through the service, and keep the predictions of its rankings.

Each listener's plays go in order, listeners side by side, so every service answers the same plays.
A listener's answers up to the next refit are a line of a file, written when all are there. An
interrupted replay goes on with the listeners who have no line. A request that fails is sent again;
failures are counted, and a ranking that never comes is a miss.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import numpy as np
import orjson
from yarl import URL  # a dependency of aiohttp

from listening_loop.errors import LoopError
from listening_loop.replay.adapter import Adapter, Play
from listening_loop.replay.plays import NewestPlays
from looplib.arrays import FloatArray
from looplib.errors import UserError
from looplib.files import naming
from looplib.progress import progress

T = TypeVar("T")
LENGTH = 20  # tracks of a ranking
SESSION = 50  # latest tracks of a session that a service is told
LOST = "lost"  # rankings that never came, among the failures of a listener
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)  # seconds until a request has failed
# seconds before a request that failed is sent again: a service has half a minute to come back
_WAITS_S = (0.1, 1.0, 5.0, 20.0)
_AGAIN = {429, *range(500, 600)}  # statuses after which a request is sent again
_MOST_LOST = 100  # rankings; more are not a service that fails now and then
# A prediction: the rank of the next track, 0 outside the ranking; tracks of the ranking that are
# played in the rest of the session; and seconds until the answer.
PREDICTION = ("rank", "hits", "seconds")


def read_answers(file: Path) -> list[dict[str, Any]]:
    """Read the answers of each listener who has them, in the order of the plays."""
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    lines = map(orjson.loads, whole.splitlines())
    return sorted(lines, key=itemgetter("listener", "refits"))


def join_answers(file: Path) -> tuple[FloatArray, dict[str, Any]]:
    """Join the answers in a file, in the order of the plays.

    Returns:
        Columns `PREDICTION`, shape (plays with a next play, 3); the number of distinct tracks in
            rankings, the requests that failed by their reason, and quantiles of the time until an
            answer.
    """
    answers = read_answers(file)
    rows = chain.from_iterable(answer["predictions"] for answer in answers)
    predictions = np.array(list(rows), float)
    failures: Counter[str] = Counter()
    for answer in answers:
        failures.update(answer["failures"])
    tracks = set().union(*(answer["tracks"] for answer in answers))
    p50, p99 = np.quantile(1000 * predictions[:, -1], [0.5, 0.99]).round(3).tolist()
    latency = {"p50_ms": p50, "p99_ms": p99}
    totals = {"tracks": len(tracks), "failures": dict(failures), "latency": latency}
    return predictions, totals


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
    adapter: Adapter,
    file: Path,
    connections: int,
) -> None:
    """Send the plays of some sessions, and add the answers to a file.

    Args:
        plays: All plays of the replay.
        sessions: The positions of the plays to send, a range for each session, by listener.
        url: Address of the service.
        adapter: How it is asked.
        file: The file that takes a line for each listener.
        connections: Requests at a time.

    Raises:
        LoopError: The service does not come back, refuses, or its answers cannot be read.
    """
    lines = read_answers(file)  # drops a line that was cut
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    count = sum(map(len, chain.from_iterable(sessions.values())))
    unsent = iter(sessions.items())  # shared by all connections
    sent = lost = 0

    async def send_next(http: aiohttp.ClientSession) -> None:
        nonlocal sent, lost
        for listener, ranges in unsent:
            answers = await _send_listener(http, url, adapter, plays, ranges)
            refits = int(plays.refits[ranges[0].start])
            line = {"listener": listener, "refits": refits, **answers}
            with naming(file), file.open("ab", buffering=0) as target:
                target.write(orjson.dumps(line) + b"\n")
            sent += sum(map(len, ranges))
            report(sent)
            lost += answers["failures"].get(LOST, 0)
            if lost > _MOST_LOST:
                raise LoopError(f"{lost} rankings never came: {answers['failures']}")

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
    except* UserError as errors:
        raise errors.exceptions[0] from None


async def _send_listener(
    http: aiohttp.ClientSession,
    url: str,
    adapter: Adapter,
    plays: NewestPlays,
    sessions: list[range],
) -> dict[str, Any]:
    """Send a listener's plays of some sessions."""
    user = plays.users[sessions[0].start]
    predictions = []
    recommended: set[str] = set()
    failures: Counter[str] = Counter()
    for session in sessions:
        tracks = plays.tracks[session.start : session.stop]
        for place, number in enumerate(session, start=1):
            play = Play(
                user,
                tracks[place - 1],
                plays.times[number],
                number,
                tracks[max(place - SESSION, 0) : place],
                LENGTH + 1,
                is_last=place == len(tracks),
            )
            content: bytes | None = None
            began = time.perf_counter()
            for request in adapting(adapter.requests, play):
                content = await _ask(http, url, request, failures)
            seconds = round(time.perf_counter() - began, 6)
            if play.is_last:
                continue
            ranking: list[str] = []
            if content is None:
                failures[LOST] += 1
            else:
                read = map(str, adapting(adapter.read, content))
                distinct = dict.fromkeys(read)
                distinct.pop(str(play.track), None)
                ranking = [*distinct][:LENGTH]
            following = [*map(str, tracks[place:])]
            is_hit = following[0] in ranking
            rank = ranking.index(following[0]) + 1 if is_hit else 0
            hits = len(set(following).intersection(ranking))
            predictions.append((rank, hits, seconds))
            recommended.update(ranking)
    return {
        "predictions": predictions,
        "tracks": sorted(recommended),
        "failures": failures,
    }


def adapting(method: Callable[[T], list[Any]], value: T) -> list[Any]:
    """Call a method of an adapter, which may raise any error.

    Raises:
        LoopError: It did.
    """
    try:
        return method(value)
    except Exception as error:  # noqa: BLE001
        text = f"{value!r:.200}"
        raise LoopError(f"the adapter cannot convert {text}: {error!r}") from None


async def _ask(
    http: aiohttp.ClientSession, url: str, request: str, failures: Counter[str]
) -> bytes | None:
    """Send a request, again after a failure, and count failures by their reason.

    Returns:
        The answer; None if the service is there and does not answer.

    Raises:
        LoopError: The service refuses, or does not come back.
    """
    line, _, body = request.partition("\n")
    method, _, path = line.partition(" ")
    target = URL(url + path, encoded=True)
    for wait_s in (*_WAITS_S, None):
        stopped = ""
        try:
            async with http.request(method, target, data=body) as response:
                content = await response.read()
            if response.ok:
                return content
            reason = str(response.status)
            if response.status not in _AGAIN:
                text = content.decode(errors="replace")[:200]
                raise LoopError(f"the service refuses ({reason}): {text}")
        except TimeoutError:
            reason = "timeout"
        except (aiohttp.ClientError, OSError) as error:
            reason, stopped = "no connection", str(error) or type(error).__name__
        failures[reason] += 1
        if wait_s:
            await asyncio.sleep(wait_s)
    if stopped:
        raise LoopError(
            f"the service stopped ({stopped}); start it, and run the same command to continue"
        )
    return None
