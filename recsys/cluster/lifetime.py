"""End a worker whose call takes too long, and say how a worker died."""

import re
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from distributed import Client, get_worker
from distributed.scheduler import WorkerState

from recsys.errors import TrialTimeoutError

T = TypeVar("T")
_REPORT_S = 1.0  # so long the worker of a late call stays, to report it
_ATTEMPTS, _PAUSE_S = 150, 0.2


def run_within(
    minutes: float | None,
    function: Callable[..., T],
    *arguments: Any,  # noqa: ANN401  of the function
) -> T:
    """Run a function; a worker on which it takes longer is replaced by its nanny.

    Nothing else ends the code of a library.

    Raises:
        TrialTimeoutError: It takes longer.
    """
    if minutes is None:
        return function(*arguments)
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001  raised where the result is awaited
            future.set_exception(error)

    # the context names Dask's worker; a daemon keeps no process from its end
    Thread(target=copy_context().run, args=(work,), daemon=True).start()
    if wait([future], 60 * minutes).done:
        return future.result()
    with suppress(ValueError):  # no worker
        worker = get_worker()
        if worker.nanny:
            restart = partial(worker.close_gracefully, restart=True)
            worker.loop.add_callback(worker.loop.call_later, _REPORT_S, restart)
    raise TrialTimeoutError(f"a step took longer than {minutes:g} search.trial_minutes")


def describe_death(client: Client, worker: WorkerState) -> str:
    """Describe how a worker died, from its nanny's events."""
    events = client.get_events("worker-restart-memory")
    if any(event["pid"] == worker.pid for _, event in events):
        return (
            f"was out of memory, of which it had {worker.memory_limit / 2**30:.3g} GiB"
        )
    for _ in range(_ATTEMPTS):  # the nanny is asked by way of its next worker
        logs = str(client.get_worker_logs(nanny=True))
        if how := re.search(rf"process {worker.pid} ([\w ]+ \d+)", logs):
            return how[1]
        time.sleep(_PAUSE_S)
    return "left no word, and neither did its nanny"
