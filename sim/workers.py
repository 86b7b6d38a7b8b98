"""Worker processes and signals: how workers are started, heard from and ended.

A pipe to each worker is the only link. When the starting process is gone, however it went, the worker's next use of the
pipe fails and it ends. Workers have SIGINT and SIGTERM blocked: a terminal sends them to the whole process group, and
only the starting process decides what they mean.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, cast

from looplib.errors import UserError
from sim.errors import SimError

Job = Callable[[int], int]
Workers = dict[Connection, BaseProcess]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 5.0


def run_jobs(job: Job, numbers: Iterable[int], processes: int) -> Iterator[int]:
    """Run a job for each number in worker processes, or in this process if one is enough.

    Yields:
        The results, as they come.

    Raises:
        SimError: A worker died.
        UserError: The job raised it in a worker.
    """
    if processes == 1:
        yield from map(job, numbers)
        return
    with start_workers(_run_jobs_of_pipe, [(job,)] * processes, _PATIENCE_S) as workers:
        waiting = iter(numbers)
        busy = {pipe for pipe, process in workers.items() if _send_next(pipe, process, waiting)}
        while busy:
            for pipe in ready(busy):
                result = receive(pipe, workers[pipe])
                if isinstance(result, UserError):
                    raise result
                yield result
                if not _send_next(pipe, workers[pipe], waiting):
                    busy.remove(pipe)


@contextmanager
def start_workers(
    target: Callable[..., None], arguments: Iterable[tuple[Any, ...]], patience_s: float
) -> Iterator[Workers]:
    """Start a worker process for each tuple of arguments; end all of them with the block.

    Args:
        target: Called as `target(pipe, *arguments)`; it ends when its pipe is closed. Must survive pickling.
        arguments: Of each worker.
        patience_s: How long workers may finish before they are killed. An interrupted block kills them at once.
    """
    context = multiprocessing.get_context("spawn")
    workers: Workers = {}
    resource_tracker.ensure_running()  # or the first start does it, and unblocks the signals
    try:
        for values in arguments:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(theirs, *values), daemon=True)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # inherited by the worker
            try:
                process.start()
                workers[ours] = process
            finally:
                theirs.close()
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield workers
    except (KeyboardInterrupt, GeneratorExit):
        patience_s = 0.0
        raise
    finally:
        for pipe in workers:
            pipe.close()
        for worker in workers.values():
            worker.join(patience_s)
            worker.kill()
            worker.join()


def ready(pipes: Iterable[Connection]) -> list[Connection]:
    """Wait until some of the pipes can be read or are closed, and return those."""
    return cast("list[Connection]", wait(list(pipes)))


def receive(pipe: Connection, process: BaseProcess) -> Any:  # noqa: ANN401  whatever the worker sends
    """Return a worker's next message.

    Raises:
        SimError: It died.
    """
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise _death_of(process) from None


@contextmanager
def handle_signals(stop: Callable[[], object] | None = None) -> Iterator[list[int]]:
    """Handle SIGINT and SIGTERM within the block, except for signals that the process ignores.

    Args:
        stop: Called at the first signal; later ones, or all without it, raise KeyboardInterrupt.

    Yields:
        The numbers of the signals so far.
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


def _send_next(pipe: Connection, process: BaseProcess, waiting: Iterator[int]) -> bool:
    """Send a worker the next number. Returns False if there is none left."""
    number = next(waiting, None)
    if number is None:
        return False
    try:
        pipe.send(number)
    except OSError:  # it died between its last result and this number
        raise _death_of(process) from None
    return True


def _run_jobs_of_pipe(pipe: Connection, job: Job) -> None:
    try:
        while True:
            number = pipe.recv()
            try:
                result: int | UserError = job(number)
            except UserError as error:
                result = error
            pipe.send(result)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _death_of(process: BaseProcess) -> SimError:
    process.join(_PATIENCE_S)
    code = process.exitcode
    reason = f"exit code {code}"
    if code is not None and code < 0:
        reason = f"signal {-code}{', as when memory runs out' if code == -signal.SIGKILL else ''}"
    return SimError(f"a worker process died ({reason})")
