"""What all benchmarks share: running a command with its time and memory, and naming the machine."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_INTERVAL_S = 0.25
_FINE_INTERVAL_S = 0.02  # of processes whose memory comes and goes


@dataclass(frozen=True)
class Measured:
    """A finished command.

    Attributes:
        wall_s: Seconds from start to end.
        peak_mib: Largest sum over the command's processes of their share of memory (PSS: a page that n processes
            share counts 1/n for each), sampled four times a second.
        output: What it printed on stdout.
    """

    wall_s: float
    peak_mib: float
    output: str


def measure(argv: Sequence[str]) -> Measured:
    """Runs a command to its end; its stderr is shown.

    Raises:
        CalledProcessError: It failed.
    """
    began = time.perf_counter()
    with subprocess.Popen(list(argv), stdout=subprocess.PIPE, text=True, env=_quiet_environment()) as process:
        peak = 0.0
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory_mib(tree))
            try:
                process.wait(SAMPLE_INTERVAL_S)
            except subprocess.TimeoutExpired:
                continue
        wall_s = time.perf_counter() - began
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(argv))
    return Measured(wall_s, peak, output)


@contextmanager
def peaks_of(read: Callable[[], Mapping[int, float]]) -> Iterator[dict[int, float]]:
    """The most that each process held while the block ran.

    Args:
        read: Memory by process id now.
    """
    peaks: dict[int, float] = {}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_FINE_INTERVAL_S):
            for pid, held in read().items():
                peaks[pid] = max(held, peaks.get(pid, 0.0))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        ended.set()
        sampler.join()


def python(*words: object) -> list[str]:
    """The command line that runs Python on this interpreter."""
    return [sys.executable, *(str(word) for word in words)]


def machine(*libraries: str) -> str:
    """The machine and the versions, for the foot of a table."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")), "unknown processor"
    )
    memory_gib = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{library} {importlib.metadata.version(library)}" for library in libraries)
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory_gib:.0f} GiB; Python {platform.python_version()}, {versions}"


def _quiet_environment() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def _memory_mib(tree: psutil.Process) -> float:
    total = 0
    try:
        processes = [tree, *tree.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
