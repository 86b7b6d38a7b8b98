"""Time and memory of an A/B report against the course notebook's way.

    python -m benchmarks.ab out/seed/log [--repeats 3] [--scratch /tmp/ab]
    python -m benchmarks.ab out/seed/log --times 10

The log is rewritten once with arms by the service's hash, for its own events take part in no experiment. The notebook's
way (pandas, row by row) is timed on the first 100,000 events, reading included, and extrapolated to all; ours is whole
processes, from the start of Python to the printed table. With --times the log is repeated under other user ids.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import mmh3

from analysis.logs import reader as event_log
from benchmarks.ingest import enlarge
from benchmarks.measure import Measured, machine, measure, python
from tests.analysis.ab import notebook

NOTEBOOK_EVENTS = 100_000
_USER = re.compile(rb'"user":(\d+)')


def with_arms(log: Path, folder: Path) -> int:
    """Writes a log's files with two experiments, and returns how many events there are."""
    seeds = {name: mmh3.hash(name, signed=False) for name in ("ALS", "AA")}
    arms: dict[bytes, bytes] = {}

    def assigned(user: bytes) -> bytes:
        if user not in arms:
            sides = {name: "CT"[mmh3.hash(user, seed, signed=False) % 2] for name, seed in seeds.items()}
            named = ",".join(f'"{name}":"{"C" if side == "C" else "T1"}"' for name, side in sides.items())
            arms[user] = f'"experiments":{{{named}}}'.encode()
        return arms[user]

    events = 0
    for file in event_log.discover([log]):
        with file.path.open("rb") as lines, (folder / file.path.name).open("wb") as out:
            for line in lines:
                user = _USER.search(line)
                if user is None:
                    raise ValueError(f"{file.name}: a line without a user")
                out.write(line.replace(b'"experiments":{}', assigned(user[1])))
                events += 1
    return events


def time_notebook(log: Path, folder: Path) -> float:
    """Seconds of the notebook's way for `NOTEBOOK_EVENTS` events."""
    head = folder / "head.jsonl"
    with event_log.discover([log])[0].path.open("rb") as lines:
        head.write_bytes(b"".join(islice(lines, NOTEBOOK_EVENTS)))
    return float(measure(python("-m", "benchmarks.ab", head, "--notebook")).output)


def report(log: Path, folder: Path, *options: str) -> Measured:
    """A report by a process of its own."""
    return measure(python("-m", "analysis.ab", log, "--experiment", "ALS", "--out", folder / "report", *options))


def compare(log: Path, folder: Path, events: int, repeats: int) -> None:
    """Times the table alone, the whole report and the notebook's way in turn."""
    report(log, folder, "--table-only")
    print(f"{'':<16}{'seconds':>9}{'events/s':>14}{'peak MiB':>11}   of the notebook's rate")
    ratios: dict[str, list[float]] = {"table alone": [], "whole report": []}
    for _ in range(repeats):
        peer = time_notebook(log, folder)
        print(f"{'notebook':<16}{peer:>9.1f}{NOTEBOOK_EVENTS / peer:>14,.0f}{'':>11}   {NOTEBOOK_EVENTS:,} events")
        for name, options in (("table alone", ["--table-only"]), ("whole report", [])):
            run = report(log, folder, *options)
            ratio = events / run.wall_s / (NOTEBOOK_EVENTS / peer)
            ratios[name].append(ratio)
            rate = f"{run.wall_s:>9.1f}{events / run.wall_s:>14,.0f}{run.peak_mib:>11,.0f}"
            print(f"{name:<16}{rate}   {ratio:,.0f} times", flush=True)
    for name, of_runs in ratios.items():
        print(f"{name}: median {statistics.median(of_runs):,.0f} times the notebook's rate, extrapolated")


def scale(log: Path, folder: Path, events: int, times: int) -> None:
    """The whole report of a log and of one many times as large."""
    larger = folder / "larger"
    larger.mkdir()
    enlarge(log, larger, times)
    once, often = report(log, folder), report(larger, folder)
    print(f"{events:,} events: {once.wall_s:.1f} s, {once.peak_mib:,.0f} MiB")
    print(f"{times * events:,} events: {often.wall_s:.1f} s, {often.peak_mib:,.0f} MiB")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ab", description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="a log or a folder of logs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--times", type=int, help="compare with a log so many times larger instead")
    parser.add_argument("--scratch", type=Path, default=Path("out"), help="where logs and reports go for the while")
    parser.add_argument("--notebook", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.notebook:
        began = time.perf_counter()
        notebook.table(notebook.read([arguments.log]), "ALS")
        print(time.perf_counter() - began)
        return 0
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name)
        log = folder / "log"
        log.mkdir()
        events = with_arms(arguments.log, log)
        if arguments.times:
            scale(log, folder, events, arguments.times)
        else:
            compare(log, folder, events, arguments.repeats)
    print(f"{machine('duckdb', 'scipy', 'pandas')}; load average {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
