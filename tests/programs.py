"""Programs of the machine that tests start, and ports for them."""

import itertools
import os
import shutil
import socket

import pytest

PACKAGES = {"ip": "iproute2"}  # of Debian, where it is not named like the program
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = 1_500  # of each process
_FIRST = itertools.count(101 * os.getpid())  # other runs of the tests begin elsewhere


def free_port() -> int:
    """Return a port that nobody uses now, and that no other process of the tests returns.

    Each process has a range of its own, below those from which the kernel takes ports for outgoing
    connections.
    """
    while True:
        port = 18_000 + _PORTS * _WORKER + next(_FIRST) % _PORTS
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def find(program: str) -> str | None:
    """The path of a program, if it is installed."""
    return shutil.which(
        program,
        path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/libexec/docker/cli-plugins",
    )


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, and in CI it fails."""
    path = find(program)
    if path:
        return path
    package = PACKAGES.get(program, program)
    reason = f"{program} is not installed (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
