"""Time of an ingest against DuckDB's plain copy of the same log to Parquet, and its memory on a log many times larger.

    python -m benchmarks.ingest out/seed/log [--repeats 5]
    python -m benchmarks.ingest out/seed/log --times 10

The plain copy is `COPY (FROM read_json(…, columns)) TO 'one.parquet'` with DuckDB's defaults: no digest, no strict
check of the lines, no buckets, no order. They take turns, after one copy that warms the page cache; of the ingest the
whole process counts, of the copy its statement alone. With --times the log is repeated under other user ids, since a
copy of the same content would add nothing; neither log is in the page cache then, as the larger may not fit.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from analysis.logs import reader as event_log
from benchmarks.measure import Measured, machine, measure, python
from recsys.store.remote import open_store

COLUMNS = {
    "message": "VARCHAR",
    "timestamp": "BIGINT",
    "user": "BIGINT",
    "track": "BIGINT",
    "time": "DOUBLE",
    "latency": "FLOAT",
    "recommendation": "BIGINT",
    "experiments": "JSON",
    "session": "VARCHAR",
    "recommender": "VARCHAR",
    "propensity": "DOUBLE",
}


@dataclass(frozen=True)
class Timed:
    """A run, and how many events it handled."""

    name: str
    run: Measured
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    def row(self) -> str:
        """A line of the table."""
        return f"{self.name:<24}{self.seconds:>9.1f}{self.rate:>14,.0f}{self.run.peak_mib:>11,.0f}"


HEADER = f"{'':<24}{'seconds':>9}{'events/s':>14}{'peak MiB':>11}"


def copy_plainly(log: Path, target: Path) -> float:
    """DuckDB's own way from a log to one Parquet file; returns the seconds that it takes."""
    files = [str(file.path) for file in event_log.discover([log])]
    began = time.perf_counter()
    duckdb.read_json(files, format="newline_delimited", columns=COLUMNS).write_parquet(str(target))
    return time.perf_counter() - began


def time_plain_copy(log: Path, folder: Path) -> Timed:
    """A plain copy in a process of its own."""
    target = folder / "plain.parquet"
    run = measure(python("-m", "benchmarks.ingest", log, "--plain", target))
    return Timed(
        "plain copy", run, int(duckdb.read_parquet(str(target)).count("*").fetchall()[0][0]), float(run.output)
    )


def time_ingest(log: Path, folder: Path, name: str = "ingest") -> Timed:
    """An ingest into a new store, which is removed."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        run = measure(python("-m", "recsys.ingest", log, "--store", Path(place) / "store"))
        return Timed(name, run, open_store(Path(place) / "store").events, run.wall_s)


def compare(log: Path, folder: Path, repeats: int) -> None:
    """Ingests and copies in turn."""
    time_plain_copy(log, folder)
    print(HEADER)
    pairs = []
    for _ in range(repeats):
        plain, ours = time_plain_copy(log, folder), time_ingest(log, folder)
        pairs.append((plain.rate, ours.rate))
        print(f"{plain.row()}\n{ours.row()}   ratio {ours.rate / plain.rate:.2f}", flush=True)
    ratios = [ours_rate / plain_rate for plain_rate, ours_rate in pairs]
    fastest = max(ours_rate for _, ours_rate in pairs) / max(plain_rate for plain_rate, _ in pairs)
    print(f"ratio of the rates: median {statistics.median(ratios):.2f}, of the fastest runs {fastest:.2f}")


def enlarge(log: Path, folder: Path, times: int) -> None:
    """Writes a log's files several times under other user ids: each copy puts a number and seven zeros before them."""
    for file in event_log.discover([log]):
        content = file.path.read_bytes()
        for number in range(1, times + 1):
            shifted = content.replace(b'"user":', f'"user":{number}0000000'.encode())
            (folder / f"{number:03}-{file.path.name}").write_bytes(shifted)


def forget(log: Path) -> None:
    """Takes a log out of the page cache."""
    for file in event_log.discover([log]):
        with file.path.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def scale(log: Path, folder: Path, times: int) -> None:
    """Ingests a log and one that is several times as large."""
    larger = folder / "log"
    larger.mkdir()
    enlarge(log, larger, times)
    forget(log)
    once = time_ingest(log, folder)
    forget(larger)
    often = time_ingest(larger, folder, f"ingest, {times} times")
    print(f"{HEADER}\n{once.row()}\n{often.row()}")
    larger_by, slower_by = often.events / once.events, often.seconds / once.seconds
    heavier_by = often.run.peak_mib / once.run.peak_mib
    print(f"{larger_by:.1f} times the events: {slower_by:.1f} times the time, {heavier_by:.2f} times the memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="a log or a folder of logs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--times", type=int, help="compare the memory and time of a log so many times larger instead")
    parser.add_argument("--scratch", type=Path, default=Path("out"), help="where stores and copies go for the while")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.plain:
        print(copy_plainly(arguments.log, arguments.plain))
        return 0
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        if arguments.times:
            scale(arguments.log, Path(folder), arguments.times)
        else:
            compare(arguments.log, Path(folder), arguments.repeats)
    print(f"{machine('duckdb', 'pyarrow', 'numpy')}; load average {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
