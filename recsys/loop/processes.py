"""What the loop starts ends with it, however it ends; a loop begins when all that an earlier one started has ended.

Every process inherits the lock on the loop's folder, so the lock is free when the last of them is gone. Linux tells a
process that its parent died (`prctl`, PR_SET_PDEATHSIG); there it is SIGTERM, at which a step cleans up.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from looplib.progress import console
from recsys.errors import LoopError
from recsys.loop.steps import Step, announce, ending

LOCK = ".lock"
_PATIENCE_S = 180.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other loops out of a folder; waits for what a loop that was killed had started.

    Raises:
        LoopError: Another loop is at work there, or what one started does not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        _take(handle, folder)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        os.set_inheritable(handle, True)
        yield
    finally:
        os.close(handle)


def start(step: Step, *, own_group: bool = False) -> "subprocess.Popen[bytes]":
    """Starts a step.

    Args:
        step: What to run.
        own_group: In a process group of its own, which Ctrl-C does not reach.
    """
    parent = os.getpid()

    def end_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before
            os._exit(1)

    return subprocess.Popen(  # noqa: S603  our own modules
        step.argv,
        env={**os.environ, **step.environment},
        close_fds=False,  # the lock is all that can be inherited
        preexec_fn=end_with_parent,
        process_group=0 if own_group else None,
    )


def run_step(step: Step) -> None:
    """Runs a step, unless it is done already; what it has to say stands above the error.

    Raises:
        LoopError: It failed.
    """
    announce(step)
    if step.done is not None and step.done.exists():
        console.print(f"done already: {step.done}", soft_wrap=True, highlight=False)
        return
    with start(step) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the step got it too, and cleans up
            process.wait()
            raise
    if code:
        raise LoopError(f"{step.title}: {ending(code)}; the command was: {step.line}")


def _take(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode()
            if owner and Path(f"/proc/{owner}").exists():
                raise LoopError(f"{folder}: another loop is at work here, process {owner}") from None
            if time.monotonic() > deadline:
                raise LoopError(
                    f"{folder}: a loop was killed here {_PATIENCE_S:.0f} s ago or earlier, and what it started still "
                    "runs; stop that first"
                ) from None
            time.sleep(0.1)
        else:
            return
