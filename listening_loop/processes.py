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
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import IO, Any
from urllib.error import HTTPError

import psutil

from listening_loop.client import OPENER
from listening_loop.errors import LoopError
from looplib.cli import program
from looplib.files import exclusive
from looplib.progress import console

PROGRAM = "listening_loop.command"
LOCK = ".lock"
STARTED = ".started"  # every process of a loop has this file open
LISTS = Path("current", "recommendations.jsonl")  # the lists of the published version
_START_S = 180.0
_STOP_S = 120.0
_READY_S = 20.0  # until a service has said whether it is ready


def command(name: str, *words: object, **options: object) -> list[str]:
    """Build a command of `listening-loop`: `run_folder="out"` becomes `--run-folder out`.

    Returns:
        Its name and its arguments.
    """
    arguments = [name, *map(str, words)]
    for option, value in options.items():
        arguments += [f"--{option.replace('_', '-')}", str(value)]
    return arguments


def shell_text(words: list[str]) -> str:
    """Write a command as it is typed in a shell."""
    return shlex.join([program(), *words])


def serve(config: Path, folder: Path, log: Path, port: int) -> list[str]:
    """Build the command that serves the published version in a loop's folder."""
    options = {"config": config, "published": folder / "published", "port": port}
    return command("serve", f"--set=log_dir={log}", **options)


def run_step(title: str, words: list[str], done: Path | None = None) -> None:
    """Print a command and run it, unless the file that it writes last is there.

    Args:
        title: The step in a few words.
        words: The command.
        done: The file that the command writes last.

    Raises:
        LoopError: The command failed; its own message stands before this error on stderr.
    """
    _announce(title, words)
    if done is not None and done.exists():
        console.print(f"done already: {done}", soft_wrap=True, highlight=False)
        return
    with _start(words) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            try:
                process.wait()
            finally:
                process.kill()  # a second Ctrl-C
            raise
    if code:
        text = shell_text(words)
        raise LoopError(f"{title}: {describe_exit(code)}; the command was: {text}")


@contextmanager
def serving(words: list[str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a service for the time of the block, which begins once it is ready.

    Raises:
        LoopError: It does not start, or fails; with the last line that it said.
    """
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        raise LoopError(
            f"port {port}: taken by another program; choose another"
        ) from None
    _announce("The service", words)
    said: deque[str] = deque(maxlen=1)
    with _start(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        copier = Thread(target=_copy, args=(process.stdout, said), daemon=True)
        copier.start()
        try:
            _wait_until_ready(process, port)
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            with suppress(ProcessLookupError):  # its workers, if it was killed itself
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            copier.join(_STOP_S)
            if code not in (0, -signal.SIGTERM):
                reason = "; ".join([describe_exit(code), *said])
                raise LoopError(f"the service failed: {reason}")


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
    """Lock a folder for a loop, and end the processes of a killed loop.

    Raises:
        LoopError: Another loop runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = LoopError(f"{folder}: another loop runs here")
    with exclusive(folder / LOCK, refusal):
        _end_leftovers(folder / STARTED)
        with (folder / STARTED).open("w") as file:
            os.set_inheritable(file.fileno(), True)
            # SIGTERM ends the loop and its step, as Ctrl-C does
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            yield


def free_port() -> int:
    """Find a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_ready(url: str) -> bool:
    """Check that a service answers, without an error of its own."""
    try:
        OPENER.open(url, timeout=_READY_S).close()
    except HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, HTTPException):  # not there yet
        return False
    return True


def describe_exit(code: int) -> str:
    """Describe how a process has ended."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _start(words: list[str], **streams: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401
    return subprocess.Popen(  # noqa: S603  our own modules
        [sys.executable, "-m", PROGRAM, *words],
        process_group=0,
        close_fds=False,  # `STARTED` is all that can be inherited
        **streams,
    )


def _end_leftovers(file: Path) -> None:
    """End the processes that still have a file open."""
    for process in psutil.process_iter(["open_files"]):
        opened = process.info["open_files"] or ()  # None of another user's process
        if any(entry.path == str(file.resolve()) for entry in opened):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready(f"http://127.0.0.1:{port}/health/ready"):
            return
        time.sleep(0.05)
    raise LoopError(f"the service is not ready on port {port}")


def _copy(stream: IO[bytes], said: deque[str]) -> None:
    """Copy the output of a server, which is no result, to stderr, and keep its last line."""
    for line in stream:
        text = line.decode(errors="replace")
        sys.stderr.write(text)
        said.append(text.strip())


def _announce(title: str, words: list[str]) -> None:
    text = f"\n[bold]{title}[/]\n[dim]$ {shell_text(words)}[/]"
    console.print(text, soft_wrap=True, highlight=False)
