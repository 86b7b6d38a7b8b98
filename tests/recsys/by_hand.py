"""Dask's scheduler and workers, started as one starts them by hand."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.programs import kill_all
from tests.waiting import wait_until

DASK = str(Path(sys.executable).with_name("dask"))


@contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Let the block start programs; all of them end with it."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, cwd: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd
        )
        running.append(process)
        return process

    try:
        yield start
    finally:
        for process in reversed(running):
            kill_all(process)


@contextmanager
def scheduler(
    folder: Path, *options: str, host: str = "127.0.0.1", under: Sequence[str] = ()
) -> Iterator[tuple[str, Callable[..., subprocess.Popen[bytes]]]]:
    """Start a scheduler for the block.

    The block gets its address, and what starts a worker, with options or below another program.
    """
    file = folder / "scheduler.json"
    with processes() as start:
        words = f"--host {host} --port 0 --no-dashboard --scheduler-file".split()
        argv = (DASK, "scheduler", *words, str(file), *options)
        process = start(*under, *argv, cwd=folder)
        address = ""

        def answers() -> bool:
            nonlocal address
            with suppress(
                FileNotFoundError, json.JSONDecodeError
            ):  # not there, or in the making
                address = json.loads(file.read_text())["address"]
            return bool(address)

        wait_until(answers, "the scheduler", [process])

        def worker(
            *options: str, under: Sequence[str] = (), dask: Sequence[str] = (DASK,)
        ) -> subprocess.Popen[bytes]:
            words = f"worker {address} --no-nanny --nthreads 1 --no-dashboard".split()
            process = start(*under, *dask, *words, *options, cwd=folder)
            wait_until(lambda: _is_connected(process), "a worker", [process])
            return process

        yield address, worker


def _is_connected(process: subprocess.Popen[bytes]) -> bool:
    """Check that it has a connection in its own network, where psutil does not look."""
    facts = Path(f"/proc/{process.pid}")
    rows = [
        line.split() for line in (facts / "net" / "tcp").read_text().splitlines()[1:]
    ]
    established = {f"socket:[{row[9]}]" for row in rows if row[3] == "01"}
    with suppress(FileNotFoundError):  # a file that it has closed meanwhile
        return any(
            str(file.readlink()) in established for file in (facts / "fd").iterdir()
        )
    return False
