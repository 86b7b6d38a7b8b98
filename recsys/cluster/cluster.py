"""Run plain functions on a Dask cluster."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import dask
import distributed
from distributed import Client as Client
from distributed import Future
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr

from looplib.progress import say
from recsys.cluster.config import ClusterConfig
from recsys.cluster.lifetime import describe_death
from recsys.cluster.preflight import EVERY_WORKER, check_folders, check_software
from recsys.cluster.processes import end_repeated_script, start_processes
from recsys.errors import SearchError, WorkerDiedError

T = TypeVar("T")
Calls = Mapping[Any, tuple[Any, ...]]  # the arguments of each, by a key of its own
POLL_S = 1.0
CONNECT_TIMEOUT_S = 15
# A batch job waits for its turn before it starts a worker.
WAIT_FOR_WORKERS_S = 600.0
# without its second option, a worker's HTTP server listens on all interfaces
_PRIVATE = "--host ADDRESS --dashboard-address 127.0.0.1:0"
_NO_SCHEDULER = "the connection to the scheduler is lost; start it again"


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one call ended: what it returned, or what it raised, such as that its worker died."""

    key: Any  # the call's
    value: T | None
    error: BaseException | None

    def result(self) -> T:
        """Unpack the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a call that returned None has T = None


@dataclass(eq=False)
class Cluster:
    """Workers that run plain functions: arguments and results are small, data travel by path.

    The first call starts the processes or joins the scheduler; without a call nothing starts. See
    `open_cluster`.
    """

    config: ClusterConfig
    stack: ExitStack  # what is started ends with it
    seen: Sequence[Path] = ()
    client: Client | None = None
    modules: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Begin without a call."""
        self._running: dict[Future[Any], Any] = {}  # to the call's key
        self._without_workers_since: float | None = None

    def run(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[T]:
        """Run a function once for each tuple of arguments; yield what the calls return as they end.

        The error of a call, such as that its worker died, ends it.
        """
        left = dict(enumerate(calls))
        for outcome in self.run_ready(function, lambda: left):
            del left[outcome.key]
            yield outcome.result()

    def run_ready(
        self, function: Callable[..., T], ready: Callable[[], Calls]
    ) -> Iterator[Outcome[T]]:
        """Run calls until none is ready and none runs; yield their outcomes as they end.

        `ready`, called again after outcomes, returns the calls that can run now, the most urgent
        first, without those whose outcome has been yielded. A key may have the `resources` that a
        worker needs to run its call.

        Raises:
            SearchError: The scheduler is lost, there has been no worker for a while, or none has
                the resources.
        """
        # calls of a caller that stopped early; Dask cancels what has no future left
        self._running.clear()
        while True:
            running = set(self._running.values())
            calls = ready()
            waiting = [key for key in calls if key not in running]
            if waiting:
                free = max(0, self.slots() - len(running))
                for key in waiting[:free]:
                    resources = getattr(key, "resources", {})
                    self._check_resources(resources)
                    future = self._client.submit(
                        function, *calls[key], pure=False, resources=resources
                    )
                    self._running[future] = key
            if not self._running:
                return
            yield from self._wait()

    def _check_resources(self, resources: Mapping[str, float]) -> None:
        """Raise a `SearchError` if no worker has what a call needs."""
        for name in resources:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            if not any(worker["resources"].get(name) for worker in workers):
                raise SearchError(
                    f"no worker has a {name}; start one where there is one: "
                    f"dask worker {self._address} {_PRIVATE} --resources {name}=1"
                )

    def slots(self) -> int:
        """Count the calls that can run at once now; 1 even while there is no worker."""
        return max(1, self._threads())

    def threads_of(self, calls: int) -> int:
        """Count the threads of each of so many calls: a few share the cores of this machine."""
        if self.client or self.config.scheduler or not calls:
            return 1
        return max(1, self.slots() // calls)

    def _wait(self) -> Sequence[Outcome[Any]]:
        while True:
            try:
                with suppress(TimeoutError):
                    done = distributed.wait(
                        list(self._running),
                        timeout=POLL_S,
                        return_when="FIRST_COMPLETED",
                    ).done
                    outcomes = list(filter(None, map(self._collect, done)))
                    if outcomes:
                        return outcomes
            except CancelledError:
                raise _lost(self._address, _NO_SCHEDULER) from None
            self._check_silence()

    def _collect(self, future: "Future[Any]") -> Outcome[Any] | None:
        """Collect the outcome of a call; None if Dask runs it again, as its worker died."""
        try:
            error = future.exception(timeout=POLL_S)
            value = future.result(timeout=POLL_S) if error is None else None
        except TimeoutError:
            return None
        key = self._running.pop(future)
        if isinstance(error, KilledWorker):
            deaths = error.allowed_failures + 1
            how = describe_death(self._client, error.last_worker)
            error = WorkerDiedError(f"{deaths} workers died running it; the last {how}")
        if isinstance(error, FileNotFoundError):
            error = SearchError(
                f"{error.filename}: a worker does not see it; {EVERY_WORKER}"
            )
        return Outcome(key, value, error)

    def _check_silence(self) -> None:
        if self._threads():
            self._without_workers_since = None
            return
        now = time.monotonic()
        self._without_workers_since = self._without_workers_since or now
        if now - self._without_workers_since > WAIT_FOR_WORKERS_S:
            raise self._without_workers(self._address)

    def _without_workers(self, address: str | None) -> SearchError:
        what = f"no worker for {WAIT_FOR_WORKERS_S:g} s; start some"
        return _lost(address, f"{what} (dask worker {address} {_PRIVATE})")

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        # which one depends on how much the client has noticed
        except (OSError, ValueError, RuntimeError):
            raise _lost(self._address, _NO_SCHEDULER) from None

    @cached_property
    def _client(self) -> Client:
        config = self.config
        stack = self.stack
        client = self.client
        if client is None:
            # the search itself reports a lost scheduler
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
            timeout = {"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s"}
            stack.enter_context(dask.config.set(timeout))
            client = (
                stack.enter_context(_join(config.scheduler))
                if config.scheduler
                else start_processes(config, self.modules, stack)
            )
        if self.client or config.scheduler:
            if (
                not isinstance(client, Client)
                or client.asynchronous
                or client.scheduler is None
            ):
                raise SearchError(
                    "the client is closed, asynchronous or no Client; an open one is needed, such "
                    "as Client(address) or Client(cluster)"
                )
            if not client.nthreads():
                say(f"{client.scheduler.address}: no worker yet; start some")
            try:
                client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS_S)
            except TimeoutError:
                raise self._without_workers(client.scheduler.address) from None
            check_software(client)
            check_folders(client, self.seen)
        say(f"{len(client.nthreads())} workers, dashboard {client.dashboard_link}")
        return client

    @property
    def _address(self) -> str:
        if self.client is None and self.config.scheduler:
            return self.config.scheduler
        scheduler = self._client.scheduler
        return str(scheduler.address) if scheduler else ""


@contextmanager
def open_cluster(
    config: ClusterConfig,
    seen: Sequence[Path] = (),
    client: Client | None = None,
    modules: Sequence[str] = (),
) -> Iterator[Cluster]:
    """Open a cluster for the block: what it starts ends with the block.

    Args:
        config: Where the workers are.
        seen: One new file of each folder that calls read or write, which every worker must see.
        client: Runs the calls; nothing is started or closed then.
        modules: What processes of this machine import before they start.

    Raises:
        SearchError: At the first call: the scheduler does not answer, has no worker, or has other
            software.
    """
    end_repeated_script()
    with ExitStack() as stack:
        yield Cluster(config, stack, seen, client, modules)


class _Client(Client):
    """A client that closes itself where it cannot connect.

    Closed by the garbage collector, it may wait for itself.
    """

    def start(self, **settings: Any) -> None:  # noqa: ANN401  as Dask has it
        try:
            super().start(**settings)
        except BaseException:
            self.close()
            raise


def _join(address: str) -> Client:
    try:
        return _Client(address, timeout=CONNECT_TIMEOUT_S)
    # Dask's TypeError: no certificates are configured
    except (OSError, ValueError, TypeError) as error:
        hint = "start one with dask scheduler"
        if address.startswith("tls"):
            hint = "see TLS in docs/clusters.md"
        raise SearchError(
            f"{address}: no Dask scheduler answers there ({error}); {hint}"
        ) from None


def _lost(address: str | None, what: str) -> SearchError:
    return SearchError(
        f"{address}: {what} and run the same command again: it continues where it stopped"
    )
