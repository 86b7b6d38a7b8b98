"""The service as a process of the loop."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from recsys.errors import LoopError
from recsys.export.export import RECOMMENDATIONS
from recsys.loop.processes import Step, describe_exit, start

_START_S = 60.0
_STOP_S = 60.0


def service_step(config: Path, catalogue: Path, published: Path, log: Path, port: int) -> Step:
    """Return the command that serves what is published."""
    environment = {
        "BOTIFY_CATALOG": str(catalogue),
        "BOTIFY_RECOMMENDATIONS": str(published / "current" / RECOMMENDATIONS),
        "BOTIFY_LOG_DIR": str(log),
    }
    return Step("The service", "botify", ["--config", config, "--port", str(port)], environment=environment)


@contextmanager
def serving(step: Step, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the service for the time of the block, which gets its process; afterwards the log is complete.

    Raises:
        LoopError: It does not start, or ended before the block did.
    """
    with start(step, own_group=True) as process:  # at Ctrl-C the listeners end their sessions, then it is stopped
        try:
            _wait_until_ready(process, port)
            try:
                yield process
            except LoopError as error:
                _check_running(process, f"; {error}")
                raise
            _check_running(process)
        finally:
            _stop(process)
    if process.returncode:
        raise LoopError(f"the service did not end well: {describe_exit(process.returncode)}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_S
    while not _is_ready(port):
        if process.poll() is not None:
            raise LoopError(f"the service does not start: {describe_exit(process.returncode)}")
        if time.monotonic() > deadline:
            raise LoopError(f"the service is not ready after {_START_S:.0f} s on port {port}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


def _check_running(process: subprocess.Popen[bytes], more: str = "") -> None:
    if process.poll() is not None:
        raise LoopError(f"the service did not last: {describe_exit(process.returncode)}{more}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # its workers, where it was killed itself
        os.killpg(process.pid, signal.SIGKILL)
