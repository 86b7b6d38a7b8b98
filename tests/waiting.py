"""Wait for what other processes and threads do."""

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

WAIT_S = 600.0  # on a machine with much more to do
LONGEST_PAUSE_S = 0.1  # as looking costs time that the others need


def wait_until(
    condition: Callable[[], bool],
    what: str,
    alive: Sequence[subprocess.Popen[Any]] = (),
) -> None:
    """Wait for a condition, as long as the processes that it depends on run."""
    deadline, pause_s = time.monotonic() + WAIT_S, 0.01
    while not condition():
        for process in alive:
            said = process.stderr.read() if process.poll() and process.stderr else ""
            assert process.poll() is None, f"{process.args!r} has ended: {said!r}"
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(pause_s)
        pause_s = min(1.1 * pause_s, LONGEST_PAUSE_S)
