"""A run's processes. Ctrl-C and SIGTERM have the open sessions ended; the second one stops at once.

With one process the work is done in it. With more, each drives listeners of its own and is told to stop by a message;
one whose parent is gone stops too.
"""

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from sim.errors import RemoteError
from sim.listening.sessions import ListeningModel
from sim.remote.client import Drive, Driven, drive
from sim.tally import Tally
from sim.workers import process_death

Report = Callable[[int], None]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Run:
    """What all processes came to."""

    tally: Tally
    error: RemoteError | None
    was_interrupted: bool
    seconds: float


def run_drive(model: ListeningModel, plan: Drive, processes: int, report: Report) -> Run:
    """Drives a service until all sessions are through, or the run is interrupted or cannot go on.

    Raises:
        SimError: A process died.
        KeyboardInterrupt: Interrupted twice.
    """
    began = time.monotonic()
    interrupts: list[int] = []
    one_or_more = _drive_here if processes == 1 else _drive_in_processes
    driven = one_or_more(model, [replace(plan, share=(i, processes)) for i in range(processes)], report, interrupts)
    return Run(driven.tally, driven.error, bool(interrupts), time.monotonic() - began)


def _drive_here(model: ListeningModel, plans: list[Drive], report: Report, interrupts: list[int]) -> Driven:
    async def run() -> Driven:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        with _interrupts(interrupts, lambda: loop.call_soon_threadsafe(stop.set)):
            return await drive(model, plans[0], stop, report)

    return asyncio.run(run())


def _drive_in_processes(model: ListeningModel, plans: list[Drive], report: Report, interrupts: list[int]) -> Driven:
    total, errors = Tally.empty(model.world.listeners), []
    workers: dict[Connection, BaseProcess] = {}
    done: dict[Connection, int] = {}

    def stop() -> None:
        for pipe in list(workers):
            with suppress(OSError):  # it has ended, and the reading of its pipe says how
                pipe.send(None)

    with _interrupts(interrupts, stop), _ended(workers, plans[0].timeout_s):
        for plan in plans:
            _start_worker(workers, model, plan)
        if interrupts:
            stop()  # those that were not there yet
        busy = set(workers)
        while busy:
            for pipe in [pipe for pipe in wait(busy) if isinstance(pipe, Connection)]:
                message = _receive(pipe, workers[pipe])
                if isinstance(message, int):
                    done[pipe] = message
                    report(sum(done.values()))
                    continue
                total.add(message.tally)
                busy.remove(pipe)
                if message.error:
                    errors.append(message.error)
                    stop()
    return Driven(total, errors[0] if errors else None)


@contextmanager
def _interrupts(interrupts: list[int], stop: Callable[[], object]) -> Iterator[None]:
    """Calls `stop` at the first SIGINT or SIGTERM and raises KeyboardInterrupt at the second."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        interrupts.append(number)
        if len(interrupts) > 1:
            raise KeyboardInterrupt
        stop()

    previous = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start_worker(workers: dict[Connection, BaseProcess], model: ListeningModel, plan: Drive) -> None:
    """Starts a worker, from which signals are kept: they may reach the whole group, and stopping is up to us."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process: BaseProcess = context.Process(target=_work, args=(theirs, model, plan), daemon=True)
    resource_tracker.ensure_running()  # or the first start does it, and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # inherited; ours come when they are let through
    try:
        process.start()
        workers[ours] = process
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ended(workers: dict[Connection, BaseProcess], patience_s: float) -> Iterator[None]:
    """Ends the workers behind the block: at once if it was interrupted twice."""
    try:
        yield
    except KeyboardInterrupt:
        patience_s = 0.0
        raise
    finally:
        for pipe in workers:
            pipe.close()
        for process in workers.values():
            process.join(patience_s)
            process.kill()
            process.join()


def _receive(pipe: Connection, process: BaseProcess) -> int | Driven:
    try:
        message: int | Driven = pipe.recv()
    except (EOFError, OSError):
        raise process_death(process) from None
    return message


def _work(pipe: Connection, model: ListeningModel, plan: Drive) -> None:
    """A worker's life: numbers of sessions go out, at last what came of them; whatever comes in means stop."""

    async def run() -> Driven:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def told() -> None:
            loop.remove_reader(pipe)
            stop.set()

        loop.add_reader(pipe, told)
        return await drive(model, plan, stop, pipe.send)

    try:
        pipe.send(asyncio.run(run()))
    except (BrokenPipeError, ConnectionResetError):
        return
