"""Start worker processes on this machine."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import dask
from dask.system import cpu_count
from distributed import Client, LocalCluster, Worker, get_worker
from distributed.comm.addressing import get_address_host
from distributed.utils import get_mp_context, sync

from recsys.cluster.config import ClusterConfig
from recsys.errors import SearchError

usable_cores = cpu_count
_SMALL_PLAYS = 200_000  # below, worker processes take longer to start than they save
# A process of ours holds little and maps the rest from disk. One that grows is killed, never paused
# or spilled, which would leave its call waiting. A call has failed when three workers died running
# it, and a process is started again however long that takes (Dask's default gives up after 15 s).
_SETTINGS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.scheduler.allowed-failures": 2,
    "distributed.deploy.lost-worker-timeout": "365d",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # Dask measures itself ten to a hundred times a second in each process, which took a tenth of a
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
# A process that grows beyond its share of memory is killed.
MEMORY_LIMIT = "auto"
# how the name of a process begins that Dask starts
_WORKER_NAME = "Dask Worker process"
_NO_START = "a worker process cannot start"


def call_threads() -> int:
    """Count the threads of the present call: the calls on a machine share its cores.

    Outside of a worker they are all cores that this process may use.
    """
    cores = usable_cores()
    with suppress(ValueError):
        worker = get_worker()
        queued = sync(worker.loop, worker.scheduler.processing)
        at_once = sync(worker.loop, worker.scheduler.ncores)
        calls = sum(
            min(at_once[address], len(queued[address]))
            for address in at_once.keys() & queued.keys()
            if get_address_host(address) == get_address_host(worker.address)
        )
        cores //= max(1, min(calls, cores))
    return cores


def is_small(config: ClusterConfig, plays: int) -> bool:
    """Decide whether work on some plays runs in this process, as no workers are asked for."""
    is_asked = config.scheduler or config.workers or config.fit == "blocks"
    return not is_asked and plays < _SMALL_PLAYS


def start_processes(
    config: ClusterConfig,
    modules: Sequence[str],
    stack: ExitStack,
) -> Client:
    """Start workers on this machine, which end with the stack.

    They are forks of one process that has imported the modules, which takes longer than a score.

    Raises:
        SearchError: One cannot start.
    """
    stack.enter_context(dask.config.set(_SETTINGS))
    # no effect if such a process runs already: then each worker imports the modules
    get_mp_context().set_forkserver_preload(list(modules))
    try:
        cluster = LocalCluster(
            n_workers=config.workers or usable_cores(),
            threads_per_worker=1,
            processes=True,
            memory_limit=MEMORY_LIMIT,
            # Other users of this machine reach the port, too, so it has keys.
            security=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # errors of calls are in their outcomes
            preload=[__name__],
            env=dict(os.environ),
        )
    except RuntimeError:
        check_script()
        raise SearchError(
            f"{_NO_START}: out of memory, or your script failed when the worker imported it "
            '(see above); put its calls below if __name__ == "__main__":'
        ) from None
    stack.callback(_close, cluster)
    client: Client = stack.enter_context(Client(cluster))
    return client


def check_script() -> None:
    """Check the script that is running, which each worker process imports.

    Raises:
        SearchError: It comes from standard input, or would search again in each worker.
    """
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or __file__)
    problem = ""
    if not script.is_file():
        problem = "the script comes from standard input, and workers import it; save it to a file"
    elif "__main__" not in script.read_text(encoding="utf-8", errors="replace"):
        problem = (
            f"workers import the script {script.name}; put what it runs below "
            'if __name__ == "__main__": (docs/clusters.md)'
        )
    if problem:
        raise SearchError(f"{_NO_START}: {problem}")


def _close(cluster: LocalCluster) -> None:
    """End the workers; workers that hang, as after their machine slept, end with this process."""
    with suppress(TimeoutError):
        cluster.close()


def end_repeated_script() -> None:
    """End a worker that runs the user's script again, which every worker imports at its start.

    The process that started it prints the remedy.
    """
    if multiprocessing.current_process().name.startswith(_WORKER_NAME):
        sys.exit(1)


def dask_setup(worker: Worker) -> None:  # noqa: ARG001  Dask calls it by this name
    """Have a starting worker ignore Ctrl-C: the process that started it hears it, and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
