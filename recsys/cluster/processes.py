"""Start worker processes on this machine."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver, resource_tracker, spawn
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context

from recsys.config import ClusterConfig
from recsys.errors import SearchError

# A process of ours holds little and maps the rest from disk. One that grows is killed, never paused
# or spilled, which would leave its call waiting. Dask reports a death at once (0 failures allowed):
# `retry` decides what follows, and the process is started again however long that takes (Dask's
# default gives up after 15 s).
_LOCAL_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.deploy.lost-worker-timeout": "365d",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # What Dask measures of itself ten to a hundred times a second in each process took a tenth of a
    # search's time.
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.profile.enabled": False,
    # Dask has glibc return memory at once, which then is cleared again for every array: a tenth of
    # a search's time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
    # each of several would return its own
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
}
# What every worker imports, directly or not, which takes longer than a score.
_IMPORTED = ["recsys.search.fit_step", "recsys.models.rank_kernels", "pandas"]


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def start_processes(config: ClusterConfig, stack: ExitStack) -> Client:
    """Start workers on this machine, which end with the stack.

    Raises:
        SearchError: None has started for `wait_for_workers_s`.
    """
    dask.config.set(_LOCAL_SETTINGS)
    _fork_workers(stack)
    wanted = config.workers or max(1, usable_cores() // config.threads_per_fit)
    with _ctrl_c_later():
        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            memory_limit=config.memory_limit,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # what a call raises is in its outcome
        )
        stack.enter_context(cluster)
        client: Client = stack.enter_context(Client(cluster))
    cluster.scale(wanted)
    try:
        for number in range(wanted):
            client.wait_for_workers(number + 1, timeout=config.wait_for_workers_s)
    except TimeoutError:
        waited = f"{config.wait_for_workers_s:g} s"
        raise SearchError(
            f"no worker process has started for {waited}; is memory short?"
        ) from None
    return client


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block; threads that begin in it, and the processes they start, hear none."""
    # or else the first of those threads starts it, and hears Ctrl-C from then on
    resource_tracker.ensure_running()
    held: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = (
        signal.signal(signal.SIGINT, lambda number, _: held.append(number))
        if is_main
        else None
    )
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
    if held:
        raise KeyboardInterrupt


def _fork_workers(stack: ExitStack) -> None:
    """Start workers, until the stack ends, as forks of a process that has imported what they need, where possible.

    They do not import the main script: what they call is ours, and a script need not be guarded.
    """
    original = spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        is_worker = name.startswith("Dask Worker process")
        return {
            key: value
            for key, value in original(name).items()
            if not (is_worker and key.startswith("init_main"))
        }

    spawn.get_preparation_data = prepare
    stack.callback(setattr, spawn, "get_preparation_data", original)
    server: Any = forkserver._forkserver  # there is no public way to end it
    # the caller's own processes are forks of it, and may outlive the stack
    if server._forkserver_pid is not None:
        return
    stack.callback(server.set_forkserver_preload, server._preload_modules)
    stack.enter_context(
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    )
    get_mp_context().set_forkserver_preload(_IMPORTED)

    @stack.callback
    def end() -> None:
        if server._forkserver_pid is not None:
            os.kill(server._forkserver_pid, signal.SIGTERM)
            server._stop()
