"""Ports of tests that run at the same time."""

import subprocess
import sys

from tests.programs import free_port

ASK = """
import itertools, sys
from tests import programs
programs._NEXT = itertools.count(programs._PORTS.index(int(sys.argv[1])))
print(programs.free_port())
"""


def test_a_port_is_given_once_while_its_process_lives() -> None:
    port = free_port()
    argv = [sys.executable, "-c", ASK, str(port)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > port
