"""Which call a pool of workers runs next, and what becomes of one whose worker dies.

Knows no Dask: a pool is whatever can start calls and wait for one of them to end.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from recsys.errors import WorkerDiedError

T = TypeVar("T")
TRUSTED_DEATHS = 1  # that a call may be near, before it has to run alone


@dataclass(frozen=True)
class Call:
    """Arguments of the function that a pool runs, and a key by which the call is known."""

    key: Any
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one call ended.

    Attributes:
        key: Which of the calls.
        value: What it returned; None if it failed.
        error: What it raised, or what became of its worker; None if it returned.
    """

    key: Any
    value: T | None
    error: BaseException | None

    def result(self) -> T:
        """What the call returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a call that returned None has T = None


class Pool(Protocol):
    """Workers."""

    def slots(self) -> int:
        """How many calls can run at once now; at least one, even while no worker is there."""

    def start(self, function: Callable[..., T], call: Call) -> None:
        """Hands a call to the workers."""

    def wait(self) -> Sequence[Outcome[Any]]:
        """Waits for at least one call to end; a call whose worker died has ended with `WorkerDiedError`.

        Raises:
            SearchError: None ever will.
        """


def dispatch(pool: Pool, function: Callable[..., T], ready: Callable[[], Sequence[Call]]) -> Iterator[Outcome[T]]:
    """Runs calls until none is left, and yields their outcomes as they come.

    A call whose worker dies is run again. Who killed a worker is not known, since a worker may run several calls: a
    call that was there more than once runs by itself, and if its worker dies then, that is its outcome.

    Args:
        pool: Who runs them.
        function: What is run.
        ready: The calls that can run now, the most urgent first, without those whose outcome has been yielded; asked
            again after each outcome. None while nothing runs is the end.
    """
    deaths: Counter[Any] = Counter()
    running: set[Any] = set()
    while True:
        startable = _startable(ready(), running, deaths)
        for call in startable[: max(0, pool.slots() - len(running))] if startable else ():
            pool.start(function, call)
            running.add(call.key)
        if not running:
            return
        for outcome in pool.wait():
            running.discard(outcome.key)
            if not isinstance(outcome.error, WorkerDiedError):
                yield outcome
                continue
            was_alone = deaths[outcome.key] > TRUSTED_DEATHS
            deaths[outcome.key] += outcome.error.deaths
            if was_alone:
                yield Outcome(outcome.key, None, _verdict(deaths[outcome.key]))


def _verdict(deaths: int) -> WorkerDiedError:
    return WorkerDiedError(
        f"{deaths} workers died running it, the last with nothing beside it; most likely they were out of memory",
        deaths,
    )


def _startable(calls: Sequence[Call], running: Collection[Any], deaths: Counter[Any]) -> Sequence[Call]:
    """What may start beside what runs: nothing beside a suspect, and a suspect beside nothing."""
    waiting = [call for call in calls if call.key not in running]
    suspects = [call for call in waiting if deaths[call.key] > TRUSTED_DEATHS]
    if suspects or any(deaths[key] > TRUSTED_DEATHS for key in running):
        return [] if running else suspects[:1]
    return waiting
