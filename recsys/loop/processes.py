"""Commands that the loop runs, the service among them, and their processes.

What the loop starts ends with it, however it ends: every process inherits the lock on the loop's
folder, so the lock is free when the last of them is gone. Linux tells a process that its parent
died (`prctl`, PR_SET_PDEATHSIG); here it is by SIGTERM, at which a step cleans up.
"""

import ctypes
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from looplib.files import lock
from looplib.progress import console
from recsys.errors import LoopError
from recsys.export.export import RECOMMENDATIONS
from recsys.loop.config import Paths

LOCK = ".lock"
_LOCK_TIMEOUT_S = 180.0
_START_S = 60.0
_STOP_S = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Step:
    """A command of the loop."""

    title: str  # what it does, for people
    module: str  # the module that is run, such as "recsys.ingest"
    arguments: Sequence[str | Path]
    # a file that is there when the step is done, whole or not at all; None: always run it
    done: Path | None = None

    @property
    def line(self) -> str:
        """The command as a person would type it."""
        return shlex.join(["python", "-m", self.module, *map(str, self.arguments)])


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other loops out of a folder; wait until the processes of a killed loop have ended."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while not lock(handle):
            owner = os.pread(handle, 20, 0).decode()
            if owner and Path(f"/proc/{owner}").exists():
                raise LoopError(f"{folder}: another loop runs here, process {owner}")
            if time.monotonic() > deadline:
                raise LoopError(
                    f"{folder}: a loop was killed here {_LOCK_TIMEOUT_S:.0f} s ago or earlier, and what it started "
                    "still runs; stop that first"
                )
            time.sleep(0.1)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        os.set_inheritable(handle, True)
        yield
    finally:
        os.close(handle)


def start(step: Step, *, own_group: bool = False) -> "subprocess.Popen[bytes]":
    """Print a step's title and command, and start it; Ctrl-C does not reach a process group of its own."""
    _announce(step)
    parent = os.getpid()

    def end_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before
            os._exit(1)

    return subprocess.Popen(  # noqa: S603  our own modules
        [sys.executable, "-m", step.module, *map(str, step.arguments)],
        close_fds=False,  # the lock is all that can be inherited
        preexec_fn=end_with_parent,
        process_group=0 if own_group else None,
        stdout=sys.__stderr__ if own_group else None,  # what a server says is no result
    )


def run_step(step: Step) -> None:
    """Run a step, unless it is done already; where it fails, its own message is on stderr before the error."""
    if step.done is not None and step.done.exists():
        _announce(step)
        console.print(f"done already: {step.done}", soft_wrap=True, highlight=False)
        return
    with start(step) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the step got it too, and cleans up
            process.wait()
            raise
    if code:
        raise LoopError(
            f"{step.title}: {_describe_exit(code)}; the command was: {step.line}"
        )


def service_step(
    config: Path, catalogue: Path, published: Path, log: Path, port: int
) -> Step:
    """Return the command that serves what is published."""
    settings = {
        "catalogue": catalogue,
        "recommendations": published / "current" / RECOMMENDATIONS,
        "log_dir": log,
    }
    changes = [f"--set={key}={path}" for key, path in settings.items()]
    return Step(
        "The service", "botify", ["--config", config, *changes, "--port", str(port)]
    )


def lab_step(root: Path, paths: Paths, service: str, port: int) -> Step:
    """Return the command that shows a loop, and the service at an address, in a browser."""
    arguments: list[str | Path] = [
        "--root",
        root,
        "--published",
        paths.published,
        "--log",
        paths.service,
    ]
    return Step(
        "The lab", "recsys.lab", [*arguments, "--service", service, "--port", str(port)]
    )


@contextmanager
def serving(
    step: Step, port: int, page: str = "/health/ready"
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server for the time of the block, which gets its process once a page is there; then a log is complete."""
    name = step.title.lower()
    # at Ctrl-C the listeners end their sessions, then it is stopped
    with start(step, own_group=True) as process:
        try:
            _wait_until_ready(process, name, port, page)
            try:
                yield process
            except LoopError as error:
                if process.poll() is None:
                    raise
                raise LoopError(
                    f"{name} did not last: {_describe_exit(process.returncode)}; {error}"
                ) from None
        finally:
            _stop(process)
    if process.returncode not in (0, -signal.SIGTERM):
        raise LoopError(
            f"{name} did not end well: {_describe_exit(process.returncode)}"
        )


def free_port(wanted: int = 0) -> int:
    """Return a port that nobody listens on: the wanted one if it is free."""
    with suppress(OSError), socket.create_server(("127.0.0.1", wanted)) as server:
        return int(server.getsockname()[1])
    return free_port()


def _wait_until_ready(
    process: subprocess.Popen[bytes], name: str, port: int, page: str
) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", page)
            if connection.getresponse().status == http.client.OK:
                return
        if process.poll() is not None:
            raise LoopError(
                f"{name} does not start: {_describe_exit(process.returncode)}"
            )
        if time.monotonic() > deadline:
            raise LoopError(
                f"{name} is not ready after {_START_S:.0f} s on port {port}"
            )
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # its workers, where it was killed itself
        os.killpg(process.pid, signal.SIGKILL)


def _describe_exit(code: int) -> str:
    return (
        f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    )


def _announce(step: Step) -> None:
    console.print(
        f"\n[bold]{step.title}[/]\n[dim]$ {step.line}[/]",
        soft_wrap=True,
        highlight=False,
    )
