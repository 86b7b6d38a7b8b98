"""Worker processes and signals of a run.

Workers have SIGINT and SIGTERM blocked: a terminal sends them to the whole process group, and only
the starting process decides what they mean. When that process is gone, however it went, they end.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

from sim.errors import SimError

Job = Callable[[int], int]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_jobs(job: Job, numbers: Sequence[int], processes: int) -> Generator[int]:
    """Run a job for each number in worker processes, or in this process if one is enough.

    Yields:
        The results, as they come. When the generator is closed, jobs that have begun are finished.

    Raises:
        SimError: A job raised it, or a worker died.
    """
    if processes == 1:
        yield from map(job, numbers)
        return
    context = multiprocessing.get_context("spawn")
    # or the first worker's start would start it, and unblock the signals
    resource_tracker.ensure_running()
    with ProcessPoolExecutor(processes, context, _end_with_parent) as pool:
        try:
            # the workers, which start here, inherit the mask
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            waiting = [pool.submit(job, number) for number in numbers]
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for future in as_completed(waiting):
                yield future.result()
        except BrokenProcessPool:
            raise SimError(
                "a worker process died, as when memory runs out; "
                "the same command goes on from here"
            ) from None
        finally:
            # and wait, for the end of the block would take the cancelling back
            pool.shutdown(cancel_futures=True)


@contextmanager
def handle_signals(stop: Callable[[], object] | None = None) -> Iterator[list[int]]:
    """Handle SIGINT and SIGTERM within the block, except for signals that the process ignores.

    The first signal calls `stop`; later ones, or all without it, raise KeyboardInterrupt. Yields
    the signals so far.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        if stop is None or len(received) > 1:
            raise KeyboardInterrupt
        stop()

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_with_parent() -> None:
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
