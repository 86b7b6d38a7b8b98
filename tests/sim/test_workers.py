"""Workers die at awkward moments, which gives one line; signals stop, then interrupt."""

import os
import signal
import threading

import psutil
import pytest

from sim.errors import SimError
from sim.workers import handle_signals, run_jobs
from tests.faults.served import wait_until


def _die_soon_after_the_answer(number: int) -> int:
    del number
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return os.getpid()


def test_a_worker_that_dies_between_two_jobs_is_said() -> None:
    results = run_jobs(_die_soon_after_the_answer, range(10), processes=2)
    worker = psutil.Process(next(results))
    # before it gets another number
    wait_until(lambda: worker.status() == psutil.STATUS_ZOMBIE, "its death", 60)
    with pytest.raises(
        SimError, match=r"^a worker process died \(signal 9, as when memory runs out\)$"
    ):
        list(results)


def test_the_first_signal_stops_and_the_second_interrupts() -> None:
    stopped: list[bool] = []
    with handle_signals(lambda: stopped.append(True)) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stopped, received) == ([True], [signal.SIGTERM])
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == [True]


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handle_signals() as received:
            os.kill(os.getpid(), signal.SIGINT)
        assert received == []
    finally:
        signal.signal(signal.SIGINT, previous)
