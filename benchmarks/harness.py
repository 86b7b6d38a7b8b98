"""Run commands and functions in turns, and print their time and memory side by side."""

import ctypes
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import psutil
from rich.console import Console
from rich.table import Table

from listening_loop.processes import command

T = TypeVar("T")
SEED_LOG = Path("out/seed/log")
SEED_STORE = Path("out/seed/store")
console = Console(width=140, highlight=False)


@dataclass(frozen=True)
class Measured:
    """A finished command."""

    wall_s: float
    cpu_s: float  # user and system seconds of all its processes
    # largest sum of its processes' shares of memory (PSS), sampled ten times a second
    peak_mib: float
    output: str  # on stdout


def python(*words: object) -> list[str]:
    """Build the command line that runs Python with these words."""
    return [sys.executable, *map(str, words)]


def measure(argv: Sequence[str]) -> Measured:
    """Run a command to its end; its stderr is shown, and a failure is a `CalledProcessError`.

    What it leaves, such as a process that forks workers, becomes a child of this one and is waited
    for, so that its CPU seconds count.
    """
    becomes_subreaper = 36
    ctypes.CDLL(None).prctl(becomes_subreaper, 1, 0, 0, 0)
    earlier = {child.pid for child in psutil.Process().children()}
    began, cpu_before_s = time.perf_counter(), children_cpu_s()
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        # An installation has its bytecode: without it, a search with two workers compiles for six
        # seconds.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        with sampled([process.pid]) as peaks:
            output, _ = process.communicate()
        wall_s = time.perf_counter() - began
    for child in psutil.Process().children():
        if child.pid not in earlier:
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    cpu_s = children_cpu_s() - cpu_before_s
    return Measured(wall_s, cpu_s, peaks[process.pid], output)


def measure_module(module: str, *words: object, **options: object) -> Measured:
    """Run `python -m MODULE` to its end: `out="here"` becomes `--out here`."""
    return measure(python("-m", *command(module, *words, **options)))


def children_cpu_s() -> float:
    """Read the CPU seconds, user and system, of all processes started here that have ended."""
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def sampled(
    pids: Collection[int], interval_s: float = 0.1
) -> Iterator[dict[int, float]]:
    """Keep the largest memory of each process, in MiB by its id, while the block runs."""
    peaks = dict.fromkeys(pids, 0.0)
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(interval_s):
            for pid in pids:
                peaks[pid] = max(memory_mib(pid), peaks[pid])

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        ended.set()
        sampler.join()


def memory_mib(pid: int) -> float:
    """Sum the memory (PSS) of a process and those below it; 0 once it has ended."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(pid)
        for process in (tree, *tree.children(recursive=True)):
            total += process.memory_full_info().pss
    return total / 2**20


def take_turns(
    kinds: Mapping[str, Callable[[], T]], repeats: int
) -> dict[str, list[T]]:
    """Run all kinds in turns, so that a change of the machine's speed hits all alike."""
    results: dict[str, list[T]] = {name: [] for name in kinds}
    for turn in range(repeats):
        for name, run in kinds.items():
            results[name].append(run())
            print(f"turn {turn + 1} of {repeats}: {name} is done", file=sys.stderr)
    return results


def seconds(run: Callable[..., object], *arguments: object) -> float:
    """Measure the wall seconds of a call."""
    began = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - began


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Compute the median over the turns of ours / theirs."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(our / their for our, their in pairs)


def show_commands(
    title: str, results: Mapping[str, Sequence[Measured]], base: str, count: int = 0
) -> None:
    """Print a row for each command, with the median ratio of its wall time to that of `base`.

    Its rate is that of `count` events, sessions, …; 0 for none.
    """
    base_walls = [run.wall_s for run in results[base]]
    rows = []
    for name, runs in results.items():
        walls = [run.wall_s for run in runs]
        wall_s = statistics.median(walls)
        cpu_s = statistics.median(run.cpu_s for run in runs)
        peak_mib = max(run.peak_mib for run in runs)
        row = (
            name,
            f"{wall_s:.2f}",
            ", ".join(f"{wall:.1f}" for wall in walls),
            f"{cpu_s:.2f}",
            f"{count / wall_s:,.0f}" if count else "",
            f"{peak_mib:,.0f}",
            f"{median_ratio(walls, base_walls):.2f}",
        )
        rows.append(row)
    header = ("", "wall s", "all runs", "CPU s", "a second", "peak MiB", f"x {base}")
    show(title, header, rows)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)


def show_machine(*libraries: str) -> None:
    """Print the machine, its load and the versions of installed libraries, below a table."""
    models = re.findall("model name.*: (.*)", Path("/proc/cpuinfo").read_text())
    installed = [f"{name} {version(name)}" for name in libraries if find_spec(name)]
    memory_gib = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    console.print(
        f"{models[0]}, {cores} cores, {memory_gib:.0f} GiB, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, {', '.join(installed)}"
    )
