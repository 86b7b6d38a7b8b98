"""Programs of the machine that tests start, and ports for them."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

# Packages of Debian that are not named like their program.
PACKAGES = {"ip": "iproute2"}
# The kernel takes ports for outgoing connections above these.
_PORTS = range(18_000, 30_000)
_NEXT = itertools.count(101 * os.getpid())


def free_port() -> int:
    """Return a port that nobody uses now, and that no other process of any tests returns.

    An abstract Unix socket of its number claims it until this process ends.
    """
    while True:
        port = _PORTS[next(_NEXT) % len(_PORTS)]
        claim = socket.socket(socket.AF_UNIX)
        with suppress(OSError), socket.socket() as listener:
            claim.bind(f"\0listening-loop-port-{port}")
            listener.bind(("127.0.0.1", port))
            claim.detach()  # stays open until this process ends
            return port
        claim.close()


def is_open(port: int) -> bool:
    """Check that somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def http_server(status: int, content: bytes = b"") -> Iterator[int]:
    """Run a server for the block that answers all requests alike; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def run_python(
    *words: str,
    **options: Any,  # noqa: ANN401  of `subprocess.run`
) -> "subprocess.CompletedProcess[str]":
    """Run Python to its end."""
    argv = [sys.executable, *words]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=600, check=False, **options
    )


def kill_all(process: subprocess.Popen[Any]) -> None:
    """Kill a process, and then those below it, as if their machine had lost its power."""
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # first: it would start another child
    process.wait(60)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=60)


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, and in CI it fails."""
    more = "/usr/sbin:/sbin:/usr/libexec/docker/cli-plugins"
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{more}")
    if path:
        return path
    package = PACKAGES.get(program, program)
    reason = f"{program} is not installed (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
