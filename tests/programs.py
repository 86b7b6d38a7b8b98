"""Programs of the machine that tests start, and ports for them."""

import os
import shutil
import socket

import pytest

PACKAGES = {"ip": "iproute2"}  # of Debian, where it is not named like the program


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def find(program: str) -> str | None:
    """The path of a program, if it is installed."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/libexec/docker/cli-plugins")


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, and in CI it fails."""
    path = find(program)
    if path:
        return path
    reason = f"{program} is not installed (Debian: apt-get install {PACKAGES.get(program, program)})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
