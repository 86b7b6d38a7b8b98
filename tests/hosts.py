"""Hosts on this machine: network namespaces, each with a cable to one switch, which can be cut.

Processes of different hosts reach each other by the network alone. A cut does what a dead machine
or a pulled plug does, and a killed process does not: neither side is told that a connection has
ended.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.programs import need

SUBNET = "10.77.0"  # known in these namespaces alone: any number of networks may use it at once


@dataclass(frozen=True)
class Host:
    """A network namespace that acts as a machine.

    Attributes:
        address: Its own, IPv4.
        under: Words before a command line that run it there.
        cable: What sets the switch's end of its cable; see `cut`.
    """

    address: str
    under: tuple[str, ...]
    cable: tuple[str, ...]

    def under_with_own(self, folder: Path, disk: Path) -> tuple[str, ...]:
        """Words before a command line that run it there, with a disk of its own.

        Args:
            folder: Where it sees its disk, and begins; what others have there it does not see.
            disk: The disk, a folder.
        """
        mount = 'mount --bind "$0" "$1" && cd "$1" && shift && exec "$@"'
        return (*self.under, "sh", "-c", mount, str(disk), str(folder))

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
        if refusal := _set_up_switch(ip, switch):
            pytest.skip(f"hosts of their own need network namespaces: {refusal}")
        yield [_add_host(ip, switch, name, number) for number, name in enumerate(names)]
    finally:
        for made in (*names, switch):
            _remove(ip, made)


def _set_up_switch(ip: str, name: str) -> str:
    """Make the switch; return what forbids it, such as missing root or a sandbox."""
    cable = ("link add probe type veth", "link delete probe")
    inside = (
        f"-n {name} {command}"
        for command in ("link add lan type bridge", "link set lan up", *cable)
    )
    for command in (f"netns add {name}", f"netns exec {name} true", *inside):
        done = subprocess.run(
            [ip, *command.split()], capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            return f"ip {command}: {done.stderr.strip()}"
    return ""


def _add_host(ip: str, switch: str, name: str, number: int) -> Host:
    port, address = f"port-{number}", f"{SUBNET}.{number + 1}"
    subprocess.run([ip, "netns", "add", name], check=True, timeout=60)
    _configure(
        ip,
        switch,
        f"link add {port} type veth peer name lan netns {name}",
        f"link set {port} master lan up",
    )
    _configure(
        ip,
        name,
        "link set lo up",
        f"address add {address}/24 dev lan",
        "link set lan up",
    )
    return Host(
        address, (ip, "netns", "exec", name), (ip, "-n", switch, "link", "set", port)
    )


def _configure(ip: str, namespace: str, *commands: str) -> None:
    for command in commands:
        subprocess.run([ip, "-n", namespace, *command.split()], check=True, timeout=60)


def _remove(ip: str, name: str) -> None:
    """Ends what runs in a namespace, which would keep it, and removes it where it was made."""
    listed = subprocess.run(
        [ip, "netns", "pids", name], capture_output=True, text=True, timeout=60
    )
    _end([int(pid) for pid in listed.stdout.split()])
    subprocess.run([ip, "netns", "delete", name], capture_output=True, timeout=60)


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.kill()
            process.wait(60)
