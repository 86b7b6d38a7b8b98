"""Machines with disks of their own, which share nothing but a network and a server of S3."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import Host
from tests.programs import need
from tests.recsys.by_hand import processes
from tests.recsys.s3 import ANYBODY, BUCKET, S3

S3_PORT = 9000


@dataclass(frozen=True)
class Machine:
    """A host with a disk of its own, which it sees where all others see theirs.

    Attributes:
        host: Where it is on the network.
        disk: Its disk, as seen from outside.
        seen: Where it sees it.
        environment: Of its processes.
    """

    host: Host
    disk: Path
    seen: Path
    environment: Mapping[str, str]

    @property
    def under(self) -> tuple[str, ...]:
        """Words before a command line that run it there."""
        variables = [
            f"{name}={value}"
            for name, value in self.environment.items()
            if os.environ.get(name) != value
        ]
        return (*self.host.under_with_own(self.seen, self.disk), "env", *variables)

    def run(self, *argv: str) -> str:
        """Runs Python there, to the end; returns what it printed."""
        done = subprocess.run(
            [*self.under, sys.executable, *argv],
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_machine(host: Host, folder: Path, s3: S3) -> Machine:
    """A machine with an empty disk, below a folder for all of them; it may use the server."""
    (seen := folder / "disk").mkdir(exist_ok=True)
    (disk := folder / "disks" / host.address).mkdir(parents=True)
    return Machine(host, disk, seen, s3.environment("disk/scratch"))


@contextmanager
def object_store(host: Host, folder: Path) -> Iterator[S3]:
    """A server of S3 on a host."""
    there = S3(f"http://{host.address}:{S3_PORT}", folder)
    with processes() as start:
        argv = (
            sys.executable,
            "-m",
            "moto.server",
            "-H",
            host.address,
            "-p",
            str(S3_PORT),
        )
        server = start(*host.under, *argv, cwd=folder)

        # asks again while nobody listens yet
        curl = [need("curl"), "-sf", "--retry", "600", "--retry-connrefused"]
        curl += ["--retry-delay", "1", "-X", "PUT", "-H", f"Authorization: {ANYBODY}"]
        subprocess.run(
            [*host.under, *curl, f"{there.endpoint}/{BUCKET}"], check=True, timeout=600
        )
        assert server.poll() is None
        yield there
