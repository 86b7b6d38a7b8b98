"""Worker processes and signals: how workers are started, heard from and ended.

A pipe to each worker is the only link. When the starting process is gone, however it went, the
worker's next use of the pipe fails and it ends. Workers have SIGINT and SIGTERM blocked: a terminal
sends them to the whole process group, and only the starting process decides what they mean.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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


def run_jobs(job: Job, numbers: Sequence[int], processes: int) -> Iterator[int]:
    """Run a job for each number in worker processes, or in this process if one is enough.

    Yields:
        The results, as they come.
    """
    if processes == 1:
        yield from map(job, numbers)
        return
    arguments = [(job, numbers[first::processes]) for first in range(processes)]
    with start_workers(_run_share, arguments, _PATIENCE_S) as workers:
        for _, result in messages(workers):
            if isinstance(result, UserError):
                raise result
            yield result


@contextmanager
def start_workers(
    target: Callable[..., None], arguments: Iterable[tuple[Any, ...]], patience_s: float
) -> Iterator[Workers]:
    """Start a worker process `target(pipe, *arguments)` for each tuple of arguments.

    They end with the block: the target ends when its pipe is closed, and is killed after
    `patience_s`, after an interrupted block at once.
    """
    context = multiprocessing.get_context("spawn")
    workers: Workers = {}
    # or the first start would start it, and unblock the signals
    resource_tracker.ensure_running()
    try:
        for values in arguments:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=target, args=(theirs, *values), daemon=True
            )
            # the worker inherits the mask
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
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


def messages(workers: Workers) -> Iterator[tuple[Connection, Any]]:
    """Yield what the workers send, each with its pipe, until all have ended."""
    running = dict(workers)
    while running:
        for pipe in cast("list[Connection]", wait(list(running))):
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                _check_exit(running.pop(pipe))
            else:
                yield pipe, message


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


def _run_share(pipe: Connection, job: Job, numbers: Sequence[int]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            for number in numbers:
                pipe.send(job(number))
        except UserError as error:
            pipe.send(error)


def _check_exit(process: BaseProcess) -> None:
    process.join(_PATIENCE_S)
    code = process.exitcode
    if code:
        hint = ", as when memory runs out" if code == -signal.SIGKILL else ""
        reason = f"signal {-code}{hint}" if code < 0 else f"exit code {code}"
        raise SimError(f"a worker process died ({reason})")
