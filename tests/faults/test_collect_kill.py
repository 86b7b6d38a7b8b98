"""Collection under kill -9, SIGTERM and Ctrl-C: no half log is left."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.sim.small_world import write_world
from tests.waiting import wait_until

SHORT_SEGMENTS = """
import sys
from sim import collect, run
collect.SEGMENT_SESSIONS = 20
sys.exit(run.run(run.app, run.PROG))
"""
SEGMENTS = 600  # more than are made before a signal is heeded


@pytest.fixture(scope="module")
def world(folder: Path) -> Path:
    return write_world(folder / "world")


def command(world: Path, log: Path) -> list[str]:
    settings = {"world": world, "log": log, "episodes": 20 * SEGMENTS}
    words = [
        word for key, value in settings.items() for word in (f"--{key}", str(value))
    ]
    return [sys.executable, "-c", SHORT_SEGMENTS, *words]


@pytest.fixture(scope="module")
def undisturbed(world: Path, folder: Path) -> dict[str, bytes]:
    log = folder / "log"
    subprocess.run(command(world, log), check=True, capture_output=True)
    return read_segments(log)


def read_segments(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.glob("events-*.jsonl")}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_there_is_no_log_and_a_rerun_makes_it(
    world: Path, tmp_path: Path, undisturbed: dict[str, bytes], sent: signal.Signals
) -> None:
    """It is halted while the signal comes, and so cannot finish before, however slow this is."""
    log = tmp_path / "log"
    with subprocess.Popen(
        command(world, log), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        begun = partial(tmp_path.glob, ".tmp-*/events-*.jsonl")
        wait_until(lambda: len([*begun()]) >= 5, "five segments", [process])
        # a terminal or a service manager signals the whole group
        for number in (signal.SIGSTOP, sent, signal.SIGCONT):
            os.killpg(process.pid, number)
        _, error = process.communicate(timeout=60)
    if sent == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert error.splitlines()[-1].endswith(
            "error: interrupted; nothing half-written is left"
        )
        assert not list(tmp_path.iterdir())
    assert not log.exists()
    subprocess.run(command(world, log), check=True, capture_output=True)
    assert read_segments(log) == undisturbed
