"""One process's part of a run: its lanes, side by side in one event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from looplib.arrays import BoolArray
from sim.errors import RemoteError
from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel
from sim.remote.caller import Caller, Line
from sim.remote.connection import Address, Connection, LostError, NotSentError
from sim.remote.dealer import Dealer
from sim.remote.lane import Lane
from sim.remote.protocol import Batches, OneByOne
from sim.tally import Tally

_REPORT_S = 0.5
_PROBE_PAUSE_S = 0.1
_NO_SUCH_ADDRESS = (404, 405)


@dataclass(frozen=True)
class Drive:
    """What to drive, and how.

    Attributes:
        url: Where the service is.
        seed: What the listeners' randomness follows from.
        sessions: Numbers of the sessions.
        lanes: Requests under way at a time.
        batch: Sessions in one request; 0 for requests of the original's kind.
        timeout_s: How long an answer is waited for.
        patience_s: How long a request that was not done is tried again.
        share: Which of how many processes this is.
        present: (listeners,) who is there; None for all.
    """

    url: str
    seed: int
    sessions: range
    lanes: int
    batch: int
    timeout_s: float
    patience_s: float
    share: tuple[int, int] = (0, 1)
    present: BoolArray | None = None


@dataclass(frozen=True)
class Driven:
    """What came of it."""

    tally: Tally
    error: RemoteError | None = None  # why it ended before all sessions were through


async def drive(
    model: ListeningModel, plan: Drive, stop: asyncio.Event, report: Callable[[int], None] = lambda _: None
) -> Driven:
    """Plays the sessions of this process, and ends early when it is told to stop.

    Args:
        model: The world.
        plan: What to do.
        stop: Set to have the open sessions ended.
        report: Called every now and then with how many sessions are through.
    """
    address, tally, line = Address.parse(plan.url), Tally.empty(model.world.listeners), Line(stop, plan.patience_s)
    draws = SessionDraws(plan.seed)
    dealer = Dealer(draws, plan.sessions, model.world.listeners, plan.share, plan.present)
    callers = [Caller(Connection(address, plan.timeout_s), line) for _ in range(plan.lanes)]
    talk, places = (Batches, plan.batch) if plan.batch else (OneByOne, 1)
    lanes = [Lane(model, places, talk(caller, model.world.tracks), dealer, draws, line, tally) for caller in callers]
    helpers = [asyncio.create_task(_wake(stop, dealer)), asyncio.create_task(_report(tally, report))]
    try:
        await asyncio.gather(*(lane.run() for lane in lanes))
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        for caller in callers:
            caller.close()
    tally.skipped, tally.absent = dealer.skipped, dealer.absent
    tally.requests, tally.retries = line.requests, line.retries
    report(tally.done)
    return Driven(tally, line.error)


async def has_batches(address: Address, timeout_s: float, patience_s: float) -> bool:
    """Waits until the service can be connected to, and looks whether it has addresses for many listeners.

    Raises:
        RemoteError: Nobody listens.
    """
    connection = Connection(address, timeout_s)
    deadline = asyncio.get_running_loop().time() + patience_s
    try:
        while True:
            try:
                answer = await connection.post("/next", orjson.dumps({"requests": []}))
            except NotSentError as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise RemoteError(f"{address.url}: not connected: {error}; is the service running?") from None
                await asyncio.sleep(_PROBE_PAUSE_S)
            except LostError as error:
                raise RemoteError(f"{address.url}: {error}; is this an HTTP service?") from None
            else:
                return answer.status not in _NO_SUCH_ADDRESS
    finally:
        connection.close()


async def _wake(stop: asyncio.Event, dealer: Dealer) -> None:
    """Wakes lanes that wait for a listener when the run ends."""
    await stop.wait()
    dealer.freed.set()


async def _report(tally: Tally, report: Callable[[int], None]) -> None:
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(_REPORT_S)
            report(tally.done)
