"""Workers die at awkward moments, which always gives the same line."""

import os
import signal
import threading

import psutil
import pytest

from sim.errors import SimError
from sim.workers import run_jobs
from tests.faults.served import wait_until


def _die_soon_after_the_answer(number: int) -> int:
    del number
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return os.getpid()


def _die_before_the_answer(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_between_two_jobs_is_said() -> None:
    results = run_jobs(_die_soon_after_the_answer, range(10), processes=2)
    worker = psutil.Process(next(results))
    wait_until(lambda: worker.status() == psutil.STATUS_ZOMBIE, "its death", 60)  # before it gets another number
    with pytest.raises(SimError, match=r"^a worker process died \(signal 9, as when memory runs out\)$"):
        list(results)


def test_a_worker_that_dies_within_a_job_is_said() -> None:
    with pytest.raises(SimError, match=r"^a worker process died \(signal 9, as when memory runs out\)$"):
        list(run_jobs(_die_before_the_answer, range(10), processes=2))
