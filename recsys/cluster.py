"""The one door to Dask: a cluster of processes, and running one plain function over many arguments on it."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import dask
from distributed import Client, LocalCluster, as_completed

from recsys.config import ClusterConfig
from recsys.errors import SearchError

T = TypeVar("T")
CONNECT_TIMEOUT_S = 15


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one call ended.

    Attributes:
        index: Which of the calls.
        value: What it returned; None if it failed.
        error: What it raised, or what became of its worker; None if it returned.
    """

    index: int
    value: T | None
    error: BaseException | None

    def result(self) -> T:
        """What the call returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a call that returned None has T = None


class Cluster:
    """Workers that run plain functions: arguments and results small, data by path."""

    def __init__(self, client: Client) -> None:
        """Takes a connected client; `open_cluster` makes one."""
        self._client = client

    @property
    def dashboard(self) -> str:
        """The address of the dashboard."""
        return str(self._client.dashboard_link)

    @property
    def workers(self) -> int:
        """How many worker processes there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def run(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> Iterator[Outcome[T]]:
        """Runs a function once for each tuple of arguments; yields the outcomes as they come.

        A call whose worker dies is run again elsewhere; Dask gives it up once several workers died with it, and its
        outcome is that error. Calls still open when the caller stops iterating are cancelled.
        """
        futures = {
            self._client.submit(function, *arguments, pure=False): index for index, arguments in enumerate(calls)
        }
        try:
            for future in as_completed(futures):
                error = future.exception() if future.status != "finished" else None
                value = None if error is not None else future.result()
                yield Outcome(futures[future], value, error)
        finally:
            self._client.cancel([future for future in futures if not future.done()])


@contextmanager
def open_cluster(config: ClusterConfig) -> Iterator[Cluster]:
    """Starts processes on this machine, or joins an existing scheduler.

    Raises:
        SearchError: The scheduler does not answer or has no worker.
    """
    dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s"})
    if config.scheduler:
        with _join(config.scheduler) as client:
            yield Cluster(client)
        return
    workers = config.workers or max(1, usable_cores() // config.threads_per_fit)
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=config.dashboard,
            silence_logs=logging.CRITICAL,  # what a call raises is in its outcome,
        ) as local,
        Client(local) as client,
    ):
        yield Cluster(client)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _join(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise SearchError(
            f"{address}: no Dask scheduler answers there ({error}); start one with dask scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise SearchError(f"{address}: the scheduler has no worker; start one with dask worker {address}") from None
        yield client
