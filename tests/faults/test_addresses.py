"""Schedulers and workers, started as the docs say it, listen on the addresses that are named."""

import re
import subprocess
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.programs import free_port
from tests.recsys.by_hand import DASK, processes
from tests.waiting import wait_until

PAGES = [Path("README.md"), *Path("docs").glob("*.md")]
COMMAND = re.compile(r"dask (?:scheduler --|worker \w+://)[^\n`\"]*")


def listened_on(process: subprocess.Popen[bytes]) -> set[str]:
    """The addresses that a process and those below it listen on."""
    parts = psutil.Process(process.pid)
    sockets = [
        socket
        for part in (parts, *parts.children(recursive=True))
        for socket in part.net_connections()
    ]
    return {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN}


def listens_on(process: subprocess.Popen[bytes], addresses: set[str]) -> bool:
    return listened_on(process) >= addresses


@pytest.mark.slow
@pytest.mark.dask
def test_schedulers_and_workers_listen_where_the_docs_say(tmp_path: Path) -> None:
    texts = [page.read_text() for page in PAGES]
    commands = [match[0] for text in texts for match in COMMAND.finditer(text)]
    assert all("--host " in command for command in commands)
    values = {"HOST": "127.0.0.2", "WORKER": "127.0.0.3", "8787": "0"}
    values["8786"] = str(free_port())
    expected = ({"127.0.0.2", "127.0.0.1"}, {"127.0.0.3"})  # with the dashboard's
    with processes() as start:
        for command, addresses in zip(commands[:2], expected, strict=True):
            for name, value in values.items():
                command = command.replace(name, value)
            process = start(DASK, *command.split()[1:], cwd=tmp_path)
            listens = partial(listens_on, process, addresses)
            wait_until(listens, command, [process])
            assert listened_on(process) == addresses
