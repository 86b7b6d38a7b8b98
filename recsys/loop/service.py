"""The service as a process of the loop."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recsys.errors import LoopError
from recsys.loop.processes import start
from recsys.loop.steps import Step, announce, ending

_START_S = 60.0
_STOP_S = 60.0


def service_step(config: Path, catalogue: Path, published: Path, log: Path, port: int) -> Step:
    """The command that serves what is published."""
    environment = {
        "BOTIFY_CATALOG": str(catalogue),
        "BOTIFY_RECOMMENDATIONS": str(published / "current" / "recommendations.jsonl"),
        "BOTIFY_LOG_DIR": str(log),
    }
    arguments: list[str | Path] = ["--config", config, "--port", str(port)]
    return Step("The service", "botify", arguments, environment=environment)


@contextmanager
def serving(step: Step, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs the service for the time of the block, which gets its process; at its end the log is complete.

    Raises:
        LoopError: It does not start, or did not live until the end.
    """
    announce(step)
    with start(step, own_group=True) as process:  # at Ctrl-C the listeners end their sessions, then it is stopped
        try:
            _wait_until_ready(process, port)
            try:
                yield process
            except LoopError as error:
                _check_lasts(process, f"; {error}")
                raise
            _check_lasts(process)
        finally:
            _stop(process)
    if process.returncode:
        raise LoopError(f"the service did not end well: {ending(process.returncode)}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_S
    while not _is_ready(port):
        if process.poll() is not None:
            raise LoopError(f"the service does not start: {ending(process.returncode)}")
        if time.monotonic() > deadline:
            raise LoopError(f"the service is not ready after {_START_S:.0f} s on port {port}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _check_lasts(process: subprocess.Popen[bytes], more: str = "") -> None:
    if process.poll() is not None:
        raise LoopError(f"the service did not last: {ending(process.returncode)}{more}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # its workers, where it was killed itself
        os.killpg(process.pid, signal.SIGKILL)
