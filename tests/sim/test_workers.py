"""Workers die at awkward moments, and it is always said in the same line."""

import os
import signal
import threading
import time

import pytest

from sim.errors import SimError
from sim.workers import run_jobs


def _die_soon_after_the_answer(number: int) -> int:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return number


def _die_before_the_answer(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_between_two_jobs_is_said() -> None:
    results = run_jobs(_die_soon_after_the_answer, range(10), processes=2)
    assert next(results) in (0, 1)
    time.sleep(0.5)  # it is gone before it is given another number
    with pytest.raises(SimError, match=r"^a worker process died \(signal 9, as when memory runs out\)$"):
        list(results)


def test_a_worker_that_dies_within_a_job_is_said() -> None:
    with pytest.raises(SimError, match=r"^a worker process died \(signal 9, as when memory runs out\)$"):
        list(run_jobs(_die_before_the_answer, range(10), processes=2))
