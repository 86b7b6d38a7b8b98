"""Hosts on this machine: network namespaces, each with a cable to one switch, which can be cut.

Processes of different hosts reach each other by the network alone. A cut does what a dead machine
or a pulled plug does, and a killed process does not: neither side is told that a connection has
ended. A machine is a host whose disk nobody shares; an S3 server on another one is all they share.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.programs import need
from tests.recsys.by_hand import processes
from tests.recsys.s3 import ANYBODY, BUCKET, S3

SUBNET = "10.77.0"  # known in these namespaces alone: any number of networks may use it at once
S3_PORT = 9000


@dataclass(frozen=True)
class Host:
    """A network namespace that acts as a machine.

    Attributes:
        address: Its own, IPv4.
        under: Words before a command line that run it there.
        cable: The switch's end of its cable, as words that set it.
    """

    address: str
    under: tuple[str, ...]
    cable: tuple[str, ...]

    def cut(self) -> None:
        """Takes its cable out: packets are lost, and neither side is told."""
        subprocess.run([*self.cable, "down"], check=True, timeout=60)

    def restore(self) -> None:
        """Puts the cable back."""
        subprocess.run([*self.cable, "up"], check=True, timeout=60)


@contextmanager
def network(hosts: int) -> Iterator[list[Host]]:
    """Makes hosts on one network; they and all that runs on them end with the block.

    The test is skipped where namespaces cannot be made, which takes root and a kernel that lets it.
    """
    ip = need("ip")
    name = f"loop-{os.getpid()}-{uuid4().hex[:6]}"
    switch, *names = (f"{name}-{part}" for part in ("switch", *range(hosts)))
    try:
        try:
            _set_up_switch(ip, switch)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"hosts of their own need network namespaces: {error.stderr}")
        yield [_add_host(ip, switch, name, number) for number, name in enumerate(names)]
    finally:
        for namespace in (*names, switch):
            _remove(ip, namespace)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=60, capture_output=True, text=True)


def _set_up_switch(ip: str, name: str) -> None:
    """Make the switch, and a cable for a trial."""
    _run(ip, "netns", "add", name)
    _run(ip, "netns", "exec", name, "true")
    for command in (
        "link add lan type bridge",
        "link set lan up",
        "link add probe type veth",
        "link delete probe",
    ):
        _run(ip, "-n", name, *command.split())


def _add_host(ip: str, switch: str, name: str, number: int) -> Host:
    port, address = f"port-{number}", f"{SUBNET}.{number + 1}"
    _run(ip, "netns", "add", name)
    for namespace, command in (
        (switch, f"link add {port} type veth peer name lan netns {name}"),
        (switch, f"link set {port} master lan up"),
        (name, "link set lo up"),
        (name, f"address add {address}/24 dev lan"),
        (name, "link set lan up"),
    ):
        _run(ip, "-n", namespace, *command.split())
    under = (ip, "netns", "exec", name)
    return Host(address, under, (ip, "-n", switch, "link", "set", port))


def _remove(ip: str, name: str) -> None:
    """Ends what runs in a namespace, which would keep it, and removes it where it was made."""
    argv = [ip, "netns", "pids", name]
    listed = subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
    running = [
        psutil.Process(pid)
        for pid in map(int, listed.split())
        if psutil.pid_exists(pid)
    ]
    for process in running:
        process.kill()
    psutil.wait_procs(running, timeout=60)
    subprocess.run([ip, "netns", "delete", name], capture_output=True, timeout=60)


@dataclass(frozen=True)
class Machine:
    """A host with a disk of its own, which it sees where all others see theirs.

    Attributes:
        host: Where it is on the network.
        disk: Its disk, as seen from outside.
        seen: Where it sees it, and begins.
        environment: Of its processes.
    """

    host: Host
    disk: Path
    seen: Path
    environment: Mapping[str, str]

    @property
    def under(self) -> tuple[str, ...]:
        """Words before a command line that run it there."""
        mount = 'mount --bind "$0" "$1" && cd "$1" && shift && exec "$@"'
        changed = dict(self.environment.items() - os.environ.items())
        variables = (f"{name}={value}" for name, value in changed.items())
        shell = ("sh", "-c", mount, str(self.disk), str(self.seen))
        return (*self.host.under, *shell, "env", *variables)

    def run(self, *argv: str) -> None:
        """Runs Python there, to the end."""
        words = [*self.under, sys.executable, *argv]
        done = subprocess.run(words, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr


def make_machine(host: Host, folder: Path, s3: S3) -> Machine:
    """A machine with an empty disk, below a folder for all of them; it may use the server."""
    (seen := folder / "disk").mkdir(exist_ok=True)
    (disk := folder / "disks" / host.address).mkdir(parents=True)
    return Machine(host, disk, seen, s3.environment("disk/scratch"))


@contextmanager
def object_store(host: Host, folder: Path) -> Iterator[S3]:
    """Runs a server of S3 on a host for the block."""
    there = S3(f"http://{host.address}:{S3_PORT}", folder)
    module = (sys.executable, "-m", "moto.server")
    with processes() as start:
        where = ("-H", host.address, "-p", str(S3_PORT))
        start(*host.under, *module, *where, cwd=folder)
        # asks again while nobody listens yet
        curl = [need("curl"), "-sf", "--retry", "600", "--retry-connrefused"]
        curl += ["--retry-delay", "1", "-X", "PUT", "-H", f"Authorization: {ANYBODY}"]
        argv = [*host.under, *curl, f"{there.endpoint}/{BUCKET}"]
        subprocess.run(argv, check=True, timeout=600)
        yield there
