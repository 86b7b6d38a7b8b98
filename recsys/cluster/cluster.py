"""Run plain functions on a Dask cluster."""

import logging
import time
from asyncio import wait_for
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import dask
import numpy as np
import psutil
from dask.utils import funcname
from distributed import Client as Client
from distributed import Future, as_completed, performance_report
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr
from threadpoolctl import threadpool_limits

from looplib.progress import say
from recsys.cluster.config import ClusterConfig
from recsys.cluster.lifetime import describe_death
from recsys.cluster.preflight import checking_workers
from recsys.cluster.processes import check_script, end_repeated_script, start_processes
from recsys.errors import SearchError, WorkerDiedError

T = TypeVar("T")
Call = tuple[Any, ...]  # a function and its arguments
# Yields calls that can run at the same time, takes their results, and returns a result.
Plan = Generator[Sequence[Call], list[Any], T]
CONNECT_TIMEOUT_S = 15
REMIND_S = 30.0
_MOST_WORKERS = 1000  # workers of an adaptive cluster without a maximum


class Job(Generic[T]):
    """A plan that runs, and its end."""

    def __init__(
        self,
        key: Any,  # noqa: ANN401  of any kind
        plan: Plan[T],
        priority: int = 0,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        """Begin a plan.

        Args:
            key: What runs; its text names the calls in Dask's dashboard.
            plan: The calls.
            priority: The calls of the largest priority run first.
            resources: Resources that the workers of the calls need.
        """
        self.key = key
        self.priority = priority
        self.resources = resources or {}
        self.error: Exception | None = None
        self._plan = plan
        self._advance(partial(next, plan))

    @property
    def is_ended(self) -> bool:
        """Whether it has a result or an error."""
        return not self.left

    def result(self) -> T:
        """Return the result of the plan that has ended, or raise its error."""
        if self.error:
            raise self.error
        return self._result

    def record(
        self,
        number: int,
        value: Any,  # noqa: ANN401  of any kind
        error: Exception | None,
    ) -> None:
        """Take the end of a call; an error ends the plan, and the last value continues it."""
        self._values[number] = value
        self.left -= 1
        if error:
            self._advance(partial(self._plan.throw, error))
        elif not self.left:
            self._advance(partial(self._plan.send, self._values))

    def close(self) -> None:
        """End the plan, wherever it is."""
        self._plan.close()

    def _advance(self, proceed: Callable[[], Sequence[Call]]) -> None:
        self.waiting: list[tuple[int, Call]] = []  # calls that are not queued yet
        self.left = 0  # calls without a value
        try:
            calls = proceed()
        except StopIteration as end:
            self._result: T = end.value
        except Exception as error:  # noqa: BLE001  any, as of a call on a worker
            self.error = error
        else:
            self.waiting = [*enumerate(calls)]
            self.left = len(calls)
            self._values = [None] * self.left


Queued = dict[Future[Any], tuple[Job[Any], int]]  # jobs, and numbers of their calls
# the job, number, value and error of a call
End = tuple[Job[Any], int, Any, Exception | None]


@dataclass(eq=False)
class Cluster(ExitStack):
    """Workers that run plain functions: arguments and results are small, data travel by path.

    The first call starts the processes or joins the scheduler; without a call nothing starts. They
    end with the `with` block.

    Args:
        config: Where the workers are.
        seen: A new file of each folder that calls read or write, which every worker must see.
        client: Runs the calls; nothing is started or closed then.
        modules: Modules that processes of this machine import before they start.
        report: The file of Dask's performance report, if wanted.
        is_here: Run the calls in this process, unless a scheduler or a client is given.

    Raises:
        SearchError: At once: workers cannot import the script that is running. At the first call:
            the scheduler does not answer, or has other software.
    """

    config: ClusterConfig
    seen: Sequence[Path] = ()
    client: Client | None = None
    modules: Sequence[str] = ()
    report: Path | None = None
    is_here: bool = False

    def __post_init__(self) -> None:
        """Begin without a call."""
        super().__init__()
        self._address = self.config.scheduler
        self._serial = uuid4().hex
        end_repeated_script()
        if self.client or self._address:
            self.is_here = False
        elif not self.is_here:
            check_script()

    def run(
        self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[T]:
        """Run a function once for each tuple of arguments; yield results as calls end.

        The error of a call, such as the death of its worker, ends the iteration.
        """

        def plan(call: tuple[Any, ...]) -> Plan[T]:
            (value,) = yield [(function, *call)]
            return value  # type: ignore[no-any-return]  # the function's

        jobs = {key: Job(key, plan(call)) for key, call in enumerate(calls)}
        for job in self.run_jobs(jobs.values):
            yield jobs.pop(job.key).result()

    def run_plan(self, plan: Plan[T]) -> T:
        """Run a plan to its end, and return its result, or raise its error."""
        job = Job("", plan)
        for _ in self.run_jobs(lambda: [] if job.is_ended else [job]):
            pass
        return job.result()

    def run_jobs(self, ready: Callable[[], Iterable[Job[Any]]]) -> Iterator[Job[Any]]:
        """Run jobs side by side until none is ready; yield a job whenever a call of it ends.

        `ready`, called again after ends of calls, returns the jobs that have not ended. All their
        present calls are queued at once. The calls that are left when none is ready or the caller
        stops are cancelled.

        Raises:
            SearchError: The scheduler is lost, or no worker has the resources.
        """
        queued: Queued = {}
        done = None
        jobs: list[Job[Any]] = []
        try:
            while jobs := [*ready()]:
                if self.is_here:
                    ends = [_run_first(jobs)]
                else:
                    done = done or as_completed(
                        loop=self._client.loop, with_results=True, raise_errors=False
                    )
                    with self._naming_loss():
                        for job in jobs:
                            self._queue(job, queued, done)
                        ends = self._take(queued, done)
                for job, number, value, error in ends:
                    if not job.is_ended:  # no other call has failed
                        job.record(number, value, error)
                        yield job
        finally:
            for job in jobs:
                job.close()
            if queued:
                with suppress(Exception):  # the scheduler is lost
                    self._client.cancel([*queued])

    def say_use(self) -> None:
        """Print how busy the workers were, and the client's share of the CPU time, if any worked.

        Workers that have left are not counted.
        """
        if "_client" not in vars(self):
            return
        client = self._client
        wall = time.monotonic() - self._began
        here = time.process_time() - self._cpu
        measured = client.run(_measure).items()
        cpu, moved = np.sum(
            [np.subtract(now, self._before.get(worker, 0)) for worker, now in measured]
            or [(0, 0)],
            axis=0,
        )
        threads = sum(client.nthreads().values())
        say(
            f"{len(measured)} workers, {cpu / (wall * max(threads, 1)):.0%} busy; the client took "
            f"{here / (here + cpu):.1%} of {here + cpu:,.0f} s of CPU; workers read and wrote "
            f"{moved / 2**20:,.0f} MiB"
        )

    def _queue(self, job: Job[Any], queued: Queued, done: as_completed) -> None:
        """Queue the calls of a job that wait."""
        if job.waiting:
            self._check_resources(job.resources)
        for number, (function, *arguments) in job.waiting:
            future = self._client.submit(
                function,
                *arguments,
                key=(
                    f"{funcname(function)}-{self._serial}",
                    str(job.key),
                    uuid4().hex,
                ),
                priority=job.priority,
                resources=job.resources,
            )
            queued[future] = job, number
            done.add(future)
        job.waiting = []

    def _take(self, queued: Queued, done: as_completed) -> list[End]:
        """Wait for calls to end, and take them out of the queue.

        Dask would run a call again if its worker died while its future is held.
        """
        ended: list[tuple[Future[Any], Any]] = []
        while not ended:
            try:
                ended = [self._client.sync(lambda: wait_for(anext(done), REMIND_S))]
            except TimeoutError:
                if not self._client.nthreads():
                    say(f"no worker; {len(queued):,} calls wait for one: {self._start}")
        ends = []
        for future, result in ended + done.next_batch(block=False):
            if future.cancelled():
                raise result
            error = result[1] if future.status == "error" else None
            if isinstance(error, KilledWorker):
                deaths = error.allowed_failures + 1
                how = describe_death(self._client, error.last_worker)
                error = WorkerDiedError(
                    f"{deaths} workers died running it; the last {how}"
                )
            ends.append((*queued.pop(future), None if error else result, error))
        return ends

    def _check_resources(self, needed: Mapping[str, float]) -> None:
        """Raise a `SearchError` if no worker has the resources of a call."""
        for name in needed:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            if workers and not any(name in worker["resources"] for worker in workers):
                raise SearchError(
                    f"no worker has a {name}; start one where there is one: "
                    f"{self._start} --resources {name}=1"
                )

    def slots(self) -> int:
        """Count the calls that can run at once, now or when an adaptive cluster has grown.

        It is 1 even while there is no worker.
        """
        if self.is_here:
            return 1
        client = self._client
        with self._naming_loss():
            threads: dict[str, int] = client.nthreads()
        # Dask has no other way to ask
        adaptive = getattr(client.cluster, "_adaptive", None)
        maximum = adaptive.maximum if adaptive else 0
        most = max(threads.values(), default=1)
        return max(1, sum(threads.values()), most * min(maximum, _MOST_WORKERS))

    def memory_limit(self) -> int | None:
        """Return the bytes of a call on the largest worker; None without a worker or a limit."""
        if self.is_here:
            return None
        with self._naming_loss():
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] // worker["nthreads"] for worker in workers]
        return max(limits, default=0) if all(limits) else None

    @property
    def _start(self) -> str:
        """The command that starts a worker, whose HTTP server no other machine reaches."""
        private = "--host ADDRESS --dashboard-address 127.0.0.1:0"
        return f"dask worker {self._address} {private}"

    @contextmanager
    def _naming_loss(self) -> Iterator[None]:
        """Name the scheduler if it is lost for the block."""
        try:
            yield
        # the kind depends on the state of the client
        except (OSError, ValueError, RuntimeError, CancelledError, ClosedClientError):
            raise SearchError(
                f"{self._address}: the connection to the scheduler is lost; start it again and run "
                "the same command again: it continues where it stopped"
            ) from None

    @cached_property
    def _client(self) -> Client:
        client = self.client
        if client is None:
            # the search itself reports a lost scheduler
            self.enter_context(silence_logging_cmgr(logging.CRITICAL))
            timeout = {"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s"}
            self.enter_context(dask.config.set(timeout))
            address = self.config.scheduler
            client = (
                self.enter_context(_join(address))
                if address
                else start_processes(self.config, self.modules, self)
            )
        if self.client or self.config.scheduler:
            if (
                not isinstance(client, Client)
                or client.asynchronous
                or client.scheduler is None
            ):
                raise SearchError(
                    "the client is closed, asynchronous or no Client; an open one is needed, such "
                    "as Client(address) or Client(cluster)"
                )
            self.enter_context(checking_workers(client, self.seen))
            self._address = client.scheduler.address
        if self.report:
            if client.run_on_scheduler(lambda: find_spec("bokeh") is None):
                raise SearchError(
                    "a performance report needs bokeh where the scheduler runs: pip install bokeh"
                )
            self.enter_context(client.as_current())
            report = performance_report(str(self.report))
            report.__enter__()
            # a search that fails may have lost the scheduler
            self.push(lambda *error: None if any(error) else report.__exit__(*error))
        say(f"{len(client.nthreads())} workers, dashboard {client.dashboard_link}")
        self._began, self._cpu = time.monotonic(), time.process_time()
        self._before = client.run(_measure)
        return client


def _run_first(jobs: Iterable[Job[Any]]) -> End:
    """Run the most urgent call in this process, with a worker's threads and so its results."""
    job = max(jobs, key=lambda job: job.priority)
    number, (function, *arguments) = job.waiting.pop(0)
    try:
        with threadpool_limits(1, "blas"):
            return job, number, function(*arguments), None
    except Exception as error:  # noqa: BLE001  any, as a worker does
        return job, number, None, error


def _measure() -> tuple[float, float]:
    """Measure the CPU seconds of this process, and the bytes that it has read and written."""
    process = psutil.Process()
    bytes_ = 0
    with suppress(AttributeError):  # macOS does not count them
        files = process.io_counters()
        bytes_ = files.read_chars + files.write_chars
    return time.process_time(), bytes_


class _Client(Client):
    """A client that closes itself if it cannot connect.

    The garbage collector may close it on its own event loop, which then waits for itself.
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
