"""Run the project's commands as processes: step after step, or a server during a block.

Each process has a group of its own: Ctrl-C reaches only the program that started it, which passes
it on.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from listening_loop.client import ServiceClient
from listening_loop.errors import LoopError
from looplib.cli import program
from looplib.files import exclusive
from looplib.progress import console

PROGRAM = "listening_loop.command"
LOCK = ".lock"
STARTED = ".started"  # every process of a loop has this file open
LISTS = Path("current", "recommendations.jsonl")  # of what is published
_START_S = 180.0
_STOP_S = 120.0


@dataclass(frozen=True)
class Command:
    """A command of `listening-loop`."""

    title: str  # says in a few words what it does
    words: list[str]  # its name and its arguments

    def __str__(self) -> str:
        """Write the command as it is typed in a shell."""
        return shlex.join([program(), *self.words])


def command(title: str, name: str, *words: object, **options: object) -> Command:
    """Build a command: `run_folder="out"` becomes `--run-folder out`."""
    arguments = [name, *map(str, words)]
    for option, value in options.items():
        arguments += [f"--{option.replace('_', '-')}", str(value)]
    return Command(title, arguments)


def serve(config: Path, folder: Path, log: Path, port: int) -> Command:
    """Build the command that serves the published version in a loop's folder."""
    options = {"config": config, "published": folder / "published", "port": port}
    return command("The service", "serve", f"--set=log_dir={log}", **options)


def run_step(step: Command, done: Path | None = None) -> None:
    """Print a command and run it, unless the file that it leaves at its end is there.

    Raises:
        LoopError: It failed; its own message is on stderr before this one.
    """
    _announce(step)
    if done is not None and done.exists():
        console.print(f"done already: {done}", soft_wrap=True, highlight=False)
        return
    with _start(step) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            try:
                process.wait()
            finally:
                process.kill()  # at a second Ctrl-C
            raise
    if code:
        ending = _describe_exit(code)
        raise LoopError(f"{step.title}: {ending}; the command was: {step}")


@contextmanager
def serving(server: Command, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a service for the time of the block, which begins once it is ready.

    Raises:
        LoopError: It does not start, or fails; its own message is on stderr.
    """
    _announce(server)
    with _start(server, is_server=True) as process:
        try:
            _wait_until_ready(process, server.title, port)
            yield process
        finally:
            _stop(process)
            if process.returncode not in (0, -signal.SIGTERM):
                ending = _describe_exit(process.returncode)
                raise LoopError(f"{server.title} failed: {ending}")


@contextmanager
def compiling_meanwhile() -> Iterator[None]:
    """Compile the solver, once on a machine, while the block does other things."""
    code = "from recsys.models.solver import load_kernels; load_kernels()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, process_group=0, stderr=subprocess.DEVNULL) as child:  # noqa: S603
        try:
            yield
        finally:
            child.kill()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for a loop, and end the processes of a killed one.

    Raises:
        LoopError: Another loop runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = LoopError(f"{folder}: another loop runs here")
    with exclusive(folder / LOCK, refusal):
        _end_leftovers(folder / STARTED)
        with (folder / STARTED).open("w") as file:
            os.set_inheritable(file.fileno(), True)
            # SIGTERM ends the loop, and what it runs, as Ctrl-C does
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            yield


def free_port() -> int:
    """Find a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _start(step: Command, *, is_server: bool = False) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  our own modules
        [sys.executable, "-m", PROGRAM, *step.words],
        process_group=0,
        close_fds=False,  # `STARTED` is all that can be inherited
        stdout=sys.__stderr__ if is_server else None,  # what a server says is no result
    )


def _end_leftovers(file: Path) -> None:
    """End the processes that still have a file open."""
    for process in psutil.process_iter(["open_files"]):
        opened = process.info["open_files"] or ()  # None of another user's process
        if any(entry.path == str(file.resolve()) for entry in opened):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", name: str, port: int) -> None:
    service = ServiceClient(f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(LoopError):
            service.ask("GET", "/health/ready")
            return
        time.sleep(0.05)
    raise LoopError(f"{name} is not ready on port {port}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):  # its workers, where it was killed itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _announce(step: Command) -> None:
    text = f"\n[bold]{step.title}[/]\n[dim]$ {step}[/]"
    console.print(text, soft_wrap=True, highlight=False)
