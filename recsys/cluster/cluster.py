"""The one door to Dask: a cluster of processes, and running plain functions on it."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import distributed
from distributed import Client, Future
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr

from recsys.cluster.launch import connect, tls
from recsys.cluster.preflight import call_where_seen, witnesses
from recsys.cluster.retry import Call, Outcome, dispatch
from recsys.cluster_config import ClusterConfig
from recsys.errors import SearchError, UnseenPathError, WorkerDiedError

T = TypeVar("T")
POLL_S = 1.0


class Cluster:
    """Workers that run plain functions: arguments and results small, data by path.

    The processes start, or the scheduler is joined, when the first call is run: who runs none waits for nothing.
    """

    def __init__(
        self, config: ClusterConfig, stack: ExitStack, read: Sequence[Path] = (), written: Sequence[Path] = ()
    ) -> None:
        """Takes where to run, what closes it, and what workers must see; `open_cluster` makes one."""
        self._config = config
        self._stack = stack
        self._read = read
        self._written = written
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
        key = f"{function.__name__}-{uuid4()}"  # the dashboard groups calls by what stands before the dash
        paths = self._witnesses
        called = (call_where_seen, paths, function) if paths else (function,)
        self._running[self._client.submit(*called, *call.arguments, key=key, pure=False)] = call

    def wait(self) -> Sequence[Outcome[Any]]:
        """Waits for at least one call to end.

        Raises:
            SearchError: The scheduler is lost, there has been no worker for a while, or one does not see a folder.
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
        if isinstance(error, UnseenPathError):
            raise error
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
        # What there is to say of a lost scheduler, the search says itself.
        self._stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
        workers = self._config.workers or max(1, usable_cores() // self._config.threads_per_fit)
        return connect(self._config, workers, self._stack)

    @cached_property
    def _witnesses(self) -> tuple[Path, ...]:
        """What a worker must see; nothing of those on this machine."""
        read, written = (() if self._config.is_local else paths for paths in (self._read, self._written))
        return self._stack.enter_context(witnesses(read, written))

    @property
    def _address(self) -> str:
        scheduler = self._client.scheduler
        return str(self._config.scheduler or (scheduler and scheduler.address))


@contextmanager
def open_cluster(config: ClusterConfig, read: Sequence[Path] = (), written: Sequence[Path] = ()) -> Iterator[Cluster]:
    """Processes on this machine, or others; there from the first call to the end of the block.

    Args:
        config: Where.
        read: Files, one of each folder that the calls read; a worker of another machine must see them.
        written: Folders that they write to, likewise.

    Raises:
        SearchError: The certificates are none. At the first call: the scheduler does not answer or has no worker.
    """
    tls(config.security)
    with ExitStack() as stack:
        yield Cluster(config, stack, read, written)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _scheduler_lost(address: str) -> SearchError:
    return SearchError(
        f"{address}: the connection to the scheduler is lost; start it again and run the same command: the search goes "
        "on where it was"
    )
