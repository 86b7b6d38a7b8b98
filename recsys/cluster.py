"""The one door to Dask: a cluster of processes, and running plain functions on it."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, TypeVar

import dask
import distributed
from distributed import Client, Future, LocalCluster
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr

from common.progress import console
from recsys.config import ClusterConfig
from recsys.dispatch import Call, Outcome, dispatch
from recsys.errors import SearchError, WorkerDiedError

T = TypeVar("T")
CONNECT_TIMEOUT_S = 15
POLL_S = 1.0
# What a process of ours holds is small or mapped from disk: one that grows is killed, never paused or spilled, either
# of which would leave its call waiting. A death is reported at once; `dispatch` decides what follows from it.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    # A process that dies is started again however long that takes; Dask by itself gives its place up after 15 s.
    "distributed.deploy.lost-worker-timeout": "365d",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}


class Cluster:
    """Workers that run plain functions: arguments and results small, data by path.

    The processes start, or the scheduler is joined, when the first call is run: who runs none waits for nothing.
    """

    def __init__(self, config: ClusterConfig, stack: ExitStack) -> None:
        """Takes where to run, and what closes it; `open_cluster` makes one."""
        self._config = config
        self._stack = stack
        self._running: dict[Future[Any], Call] = {}
        self._lonely_since: float | None = None

    def run(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> Iterator[Outcome[T]]:
        """Runs a function once for each tuple of arguments; yields the outcomes as they come, each known by its place.

        Raises:
            SearchError: The scheduler is lost, or there has been no worker for a while.
        """
        left = {place: Call(place, arguments) for place, arguments in enumerate(calls)}
        for outcome in self.run_ready(function, lambda: list(left.values())):
            del left[outcome.key]
            yield outcome

    def run_ready(self, function: Callable[..., T], ready: Callable[[], Sequence[Call]]) -> Iterator[Outcome[T]]:
        """Runs a function for the calls that are ready, as `dispatch` says.

        Raises:
            SearchError: The scheduler is lost, or there has been no worker for a while.
        """
        self._running.clear()  # of a caller that stopped early; Dask drops what nobody holds
        yield from dispatch(self, function, ready)

    def slots(self) -> int:
        """How many calls can run at once now; 1 even while there is no worker."""
        return max(1, self._threads())

    def start(self, function: Callable[..., T], call: Call) -> None:
        """Hands a call to the workers."""
        self._running[self._client.submit(function, *call.arguments, pure=False)] = call

    def wait(self) -> Sequence[Outcome[Any]]:
        """Waits for at least one call to end.

        Raises:
            SearchError: The scheduler is lost, or there has been no worker for a while.
        """
        while True:
            try:
                done = distributed.wait(list(self._running), timeout=POLL_S, return_when="FIRST_COMPLETED").done
                outcomes = [outcome for future in done if (outcome := self._collect(future)) is not None]
            except TimeoutError:
                outcomes = []
            except CancelledError:
                raise _scheduler_lost(self._address) from None
            if outcomes:
                return outcomes
            self._check_workers()

    def _collect(self, future: "Future[Any]") -> Outcome[Any] | None:
        """The outcome of an ended call; None if it died with its worker since, and is run again."""
        key = self._running[future].key
        try:
            error = future.exception(timeout=POLL_S)
            value = future.result(timeout=POLL_S) if error is None else None
        except TimeoutError:
            return None
        except CancelledError:
            raise _scheduler_lost(self._address) from None
        del self._running[future]
        if isinstance(error, KilledWorker):
            error = WorkerDiedError(str(error), error.allowed_failures + 1)
        return Outcome(key, value, error)

    def _check_workers(self) -> None:
        now = time.monotonic()
        if self._threads():
            self._lonely_since = None
            return
        self._lonely_since = self._lonely_since or now
        if now - self._lonely_since > self._config.wait_for_workers_s:
            raise SearchError(
                f"{self._address}: no worker for {self._config.wait_for_workers_s:g} s; start some "
                f"(dask worker {self._address}) and run the same command again: it goes on where it was"
            )

    def _threads(self) -> int:
        """Threads of all workers that there are now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, ValueError, RuntimeError):  # which one depends on how far the client has noticed
            raise _scheduler_lost(self._address) from None

    @cached_property
    def _client(self) -> Client:
        dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s"})
        # What there is to say of a lost scheduler, the search says itself.
        self._stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
        client = _join(self._config.scheduler) if self._config.scheduler else self._start()
        self._stack.enter_context(client)
        workers = len(client.nthreads())
        console.print(f"{workers} workers, dashboard {client.dashboard_link}", soft_wrap=True)
        return client

    def _start(self) -> Client:
        dask.config.set(_SETTINGS)
        local = LocalCluster(
            n_workers=self._config.workers or max(1, usable_cores() // self._config.threads_per_fit),
            threads_per_worker=1,
            processes=True,
            memory_limit=self._config.memory_limit,
            dashboard_address=self._config.dashboard,
            silence_logs=logging.CRITICAL,  # what a call raises is in its outcome
        )
        return Client(self._stack.enter_context(local))

    @property
    def _address(self) -> str:
        scheduler = self._client.scheduler
        return str(self._config.scheduler or (scheduler and scheduler.address))


@contextmanager
def open_cluster(config: ClusterConfig) -> Iterator[Cluster]:
    """Processes on this machine, or an existing scheduler; there from the first call to the end of the block.

    Raises:
        SearchError: At the first call: the scheduler does not answer or has no worker.
    """
    with ExitStack() as stack:
        yield Cluster(config, stack)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _join(address: str) -> Client:
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise SearchError(
            f"{address}: no Dask scheduler answers there ({error}); start one with dask scheduler"
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
    except TimeoutError:
        client.close()
        raise SearchError(f"{address}: the scheduler has no worker; start one with dask worker {address}") from None
    return client


def _scheduler_lost(address: str) -> SearchError:
    return SearchError(
        f"{address}: the connection to the scheduler is lost; start it again and run the same command: the search goes "
        "on where it was"
    )
