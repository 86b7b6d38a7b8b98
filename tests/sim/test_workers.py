"""Workers die at awkward moments, which gives one line; signals stop, then interrupt."""

import os
import signal

import pytest

from sim.errors import SimError
from sim.workers import handle_signals, run_jobs


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(SimError, match="a worker process died"):
        list(run_jobs(_die, range(10), processes=2))


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
