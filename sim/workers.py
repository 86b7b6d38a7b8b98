"""Run jobs in worker processes.

Workers have SIGINT and SIGTERM blocked: a terminal sends them to the whole process group, and only
the starting process decides what they mean. When that is gone, however it went, they end.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from sim.errors import SimError

Job = Callable[[int], int]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_jobs(
    job: Job, numbers: Sequence[int], processes: int
) -> Generator[int, None, None]:
    """Run a job for each number in worker processes, or in this process if one is enough.

    Yields:
        The results, as they come.

    Raises:
        SimError: A worker died.
    """
    if processes == 1:
        yield from map(job, numbers)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_end_with_parent) as pool:
        # workers inherit the mask
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            results = [pool.submit(job, number) for number in numbers]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            for result in as_completed(results):
                yield result.result()
        except BrokenProcessPool:
            raise SimError("a worker process died, as when memory runs out") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent:
            parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
