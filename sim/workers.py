"""Worker processes that do one numbered job at a time, and end when the process that started them does.

A pipe to each worker is the only link. When the starting process is gone, however it went, the worker's next read or
write on the pipe fails, and it ends.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from looplib.errors import UserError
from sim.errors import SimError

Job = Callable[[int], int]

_PATIENCE_S = 5.0


def run_jobs(job: Job, numbers: Iterable[int], processes: int) -> Iterator[int]:
    """Does a job for each number, and yields the results as they come.

    With one process there are no workers. With more, the job must survive pickling, a user error in a worker is
    raised here, and all workers are stopped when the iteration ends, whether at its end or before.

    Raises:
        SimError: A worker died.
    """
    if processes == 1:
        yield from map(job, numbers)
        return
    with _workers(job, processes) as workers:
        waiting = iter(numbers)
        busy = {pipe for pipe, process in workers.items() if _hand_out(pipe, process, waiting)}
        while busy:
            for pipe in [pipe for pipe in wait(busy) if isinstance(pipe, Connection)]:
                yield _collect(pipe, workers[pipe])
                if not _hand_out(pipe, workers[pipe], waiting):
                    busy.remove(pipe)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM end the block as Ctrl-C does, so that it cleans up behind it."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    raise KeyboardInterrupt


@contextmanager
def _workers(job: Job, count: int) -> Iterator[dict[Connection, BaseProcess]]:
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_work, args=(theirs, job), daemon=True)
            with _interrupts_ignored():  # inherited: Ctrl-C reaches the whole group, and stopping is up to us
                process.start()
            theirs.close()
            workers[ours] = process
        yield workers
    except BaseException:
        for worker in workers.values():
            worker.terminate()
        raise
    finally:
        for pipe, worker in workers.items():
            pipe.close()
            worker.join(_PATIENCE_S)
            worker.kill()
            worker.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _hand_out(pipe: Connection, process: BaseProcess, waiting: Iterator[int]) -> bool:
    """Gives a worker the next number; False when there is none left."""
    number = next(waiting, None)
    if number is None:
        return False
    try:
        pipe.send(number)
    except OSError:  # it died between its last result and this number
        raise process_death(process) from None
    return True


def _collect(pipe: Connection, process: BaseProcess) -> int:
    try:
        result = pipe.recv()
    except (EOFError, OSError):
        raise process_death(process) from None
    if isinstance(result, UserError):
        raise result
    return int(result)


def process_death(process: BaseProcess) -> SimError:
    """The error that says how a process died."""
    process.join(_PATIENCE_S)
    return SimError(f"a worker process died ({_last_words(process.exitcode)})")


def _last_words(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    hint = ", as when memory runs out" if exit_code == -signal.SIGKILL else ""
    return f"signal {-exit_code}{hint}"


def _work(pipe: Connection, job: Job) -> None:
    """A worker's life."""
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
