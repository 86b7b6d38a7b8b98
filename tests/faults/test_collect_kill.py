"""Collection under kill -9, SIGTERM, Ctrl-C and a full disk: no half segment is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.collect import CollectConfig, collect
from tests.sim.small_world import write_world

SEGMENTS = 500  # more than are made before a signal is heeded
EPISODES = SEGMENTS * 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("faults") / "world")


@pytest.fixture(scope="module")
def undisturbed(
    world: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    log = tmp_path_factory.mktemp("undisturbed") / "log"
    collect(
        CollectConfig(world=world, log=log, episodes=EPISODES, segment_sessions=100)
    )
    return _segments(log)


def _segments(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.glob("events-*.jsonl")}


def _argv(world: Path, log: Path) -> list[str]:
    flags = [
        "--world",
        str(world),
        "--log",
        str(log),
        "--episodes",
        str(EPISODES),
    ]
    return [sys.executable, "-m", "sim.run", *flags, "--set", "segment_sessions=100"]


def _start(world: Path, log: Path) -> subprocess.Popen[str]:
    """Starts a collection in a process group of its own and halts it when it is well under way.

    Halted, it cannot finish before its signal comes, however slow this machine is.
    """
    argv = _argv(world, log)
    process = subprocess.Popen(
        argv,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while len(list(log.glob("events-*.jsonl"))) < 5:
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGSTOP)
    return process


def _assert_unfinished_but_whole(log: Path, undisturbed: dict[str, bytes]) -> None:
    found = _segments(log)
    assert 5 <= len(found) < SEGMENTS
    assert all(content == undisturbed[name] for name, content in found.items())


def _assert_rerun_completes(
    world: Path, log: Path, undisturbed: dict[str, bytes]
) -> None:
    subprocess.run(_argv(world, log), check=True, capture_output=True, timeout=120)
    assert _segments(log) == undisturbed
    assert not list(log.glob(".tmp-*"))


def test_after_kill_9_whole_segments_stand_and_a_rerun_completes(
    world: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    log = tmp_path / "log"
    with _start(world, log) as process:
        process.kill()
        os.killpg(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)
    _assert_unfinished_but_whole(log, undisturbed)
    _assert_rerun_completes(world, log, undisturbed)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_leaves_no_temporary_file(
    world: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    sent: signal.Signals,
) -> None:
    log = tmp_path / "log"
    with _start(world, log) as process:
        # to the whole group, as a terminal or a service manager does
        os.killpg(process.pid, sent)
        os.killpg(process.pid, signal.SIGCONT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        error.splitlines()[-1]
        == "listening-loop simulate: error: interrupted; nothing half-written is left"
    )
    assert "Traceback" not in error
    assert not list(log.glob(".tmp-*"))
    _assert_unfinished_but_whole(log, undisturbed)


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_written(
    world: Path, tmp_path: Path
) -> None:
    """The limit on file sizes stands for the disk's: writing stops in the middle of a segment."""
    log = tmp_path / "log"
    limited = [
        "bash",
        "-c",
        'ulimit -f 64 && exec "$@"',
        "bash",
        *_argv(world, log),
    ]
    result = subprocess.run(
        limited, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 2
    assert f"{log}/events-0000" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("events-00000.jsonl: File too large")
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in log.iterdir()) == [
        "collect.yaml",
        "collection.json",
    ]
