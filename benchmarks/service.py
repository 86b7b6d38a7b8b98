"""The service against a bare view with the same I/O under the same server, by wrk, in turns.

    python -m benchmarks.service

Needs wrk and redis-server (Debian: `apt-get install wrk redis-server`). Both services run side by side all the time and
are loaded in turns, so that whatever else the machine does hits both alike. A session is ten `/next` and a `/last`;
512 listeners are at it at any time, each waiting for an answer before it asks again.
"""

import http.client
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine, python
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.programs import free_port

BATCH = 1000
LOAD_SCRIPT = """
local n, active = 0, 512
function init(args)
  prefix, listeners, tracks, n = args[1], tonumber(args[2]), tonumber(args[3]), math.random(1e6)
end
function request()
  n = n + 1
  local round = math.floor(n / active)
  local user, turn = (math.floor(round / 11) * active + n % active) % listeners, round % 11
  local path = (turn == 10 and prefix == "/next/") and "/last/" or prefix
  return wrk.format("POST", path .. user, nil, '{"track":' .. (n * 7 % tracks) .. ',"time":0.5}')
end
"""
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
app = typer.Typer(add_completion=False)
console = Console()


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    failures: int


@dataclass(frozen=True)
class Setup:
    """Where everything is."""

    folder: Path
    listeners: int
    tracks: int
    redis_url: str
    threads: int
    seconds: int


@app.command()
def compare(
    listeners: Annotated[int, typer.Option(min=1)] = 10_000,
    tracks: Annotated[int, typer.Option(min=100)] = 50_000,
    threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 4,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[int, typer.Option(min=1, max=10, help="Of each run of wrk.")] = 4,
) -> None:
    """Runs both in turns, without Redis in one process and with it in two, and prints the tables."""
    with tempfile.TemporaryDirectory(prefix="botify-benchmark-") as name:
        folder = Path(name)
        catalogue = write_catalogue(folder / "tracks.json", [track // 10 for track in range(tracks)])
        neighbours = {0: [1]}
        publish(folder, "one", random_lists(listeners, tracks), catalogue=catalogue, neighbours=neighbours)
        (folder / "load.lua").write_text(LOAD_SCRIPT)
        with redis_server(folder) as redis_url:
            setup = Setup(folder, listeners, tracks, redis_url, threads, seconds)
            console.print(machine("flask", "granian", "redis"))
            for processes in (1, 2):
                _compare(setup, processes, repeats)


def _compare(setup: Setup, processes: int, repeats: int) -> None:
    title = f"{processes} process, no Redis" if processes == 1 else f"{processes} processes, Redis"
    bare_path = "/bare/" if processes == 1 else "/bare-redis/"
    with _service(setup, processes) as (port, start_s, process), _bare(setup, processes) as bare_port:
        runs: dict[str, list[Load]] = {"bare view": [], "/next": [], "bare view, alone": [], "/next, alone": []}
        for _ in range(repeats):
            runs["bare view"].append(wrk(setup, bare_port, bare_path, 32))
            runs["/next"].append(wrk(setup, port, "/next/", 32))
        runs["bare view, alone"].append(wrk(setup, bare_port, bare_path, 1))
        runs["/next, alone"].append(wrk(setup, port, "/next/", 1))
        _show(title, runs)
        workers = process.children()
        memory = max(worker.memory_full_info().pss for worker in workers) / 2**20
        resident = max(worker.memory_info().rss for worker in workers) / 2**20
        console.print(f"start {start_s:.2f} s; a process {memory:.0f} MiB (PSS), {resident:.0f} MiB (RSS)")
        cpu_before_s = _cpu_s(workers)
        rate, count = _batch_rate(setup, port)
        per_cpu_s = count / (_cpu_s(workers) - cpu_before_s)
        console.print(f"batch of {BATCH:,}: {rate:,.0f} recommendations/s, one connection")
        console.print(f"and {per_cpu_s:,.0f} a second of a process's own CPU time, which other work slows less\n")


def _show(title: str, runs: dict[str, list[Load]]) -> None:
    table = Table("", "requests/s", "x bare", "p50 ms", "p99 ms", "failed", title=title)
    for name, loads in runs.items():
        pairs = zip(loads, runs["bare view, alone" if "alone" in name else "bare view"], strict=True)
        table.add_row(
            name,
            f"{statistics.median(load.requests_s for load in loads):,.0f}",
            f"{statistics.median(load.requests_s / bare.requests_s for load, bare in pairs):.2f}",
            f"{statistics.median(load.p50_ms for load in loads):.2f}",
            f"{statistics.median(load.p99_ms for load in loads):.1f}",
            str(sum(load.failures for load in loads)),
        )
    console.print(table)


def wrk(setup: Setup, port: int, prefix: str, connections: int) -> Load:
    """Loads a service for the setup's seconds."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{setup.seconds}s", "--latency", "-s", str(setup.folder / "load.lua")]
    argv += [f"http://127.0.0.1:{port}", "--", prefix, str(setup.listeners), str(setup.tracks)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    failures = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        float(rate[1]) if rate else 0.0,
        _percentile_ms(text, "50%"),
        _percentile_ms(text, "99%"),
        int(failures[1]) if failures else 0,
    )


def _percentile_ms(text: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", text)
    return float(found[1]) * _UNITS_MS[found[2]] if found else float("nan")


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def _batch_rate(setup: Setup, port: int, batches: int = 40) -> tuple[float, int]:
    """The median rate over some batches, and how many recommendations they were together."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for number in range(batches):
        users = range(number * BATCH % setup.listeners, number * BATCH % setup.listeners + BATCH)
        body = orjson.dumps({"requests": [{"user": user, "track": user % setup.tracks, "time": 0.5} for user in users]})
        began = time.perf_counter()
        connection.request("POST", "/next", body)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        if answer.status != http.client.OK:
            raise RuntimeError(f"status {answer.status}")
    return BATCH / statistics.median(took), BATCH * batches


@contextmanager
def _service(setup: Setup, processes: int) -> Iterator[tuple[int, float, psutil.Process]]:
    """The service's port, how long it took to answer, and its parent process."""
    port = free_port()
    config = {
        "catalog": str(setup.folder / "tracks.json"),
        "recommendations": str(setup.folder / "current" / "recommendations.jsonl"),
        "log_dir": str(setup.folder / f"log-{processes}"),
        "redis_url": setup.redis_url if processes > 1 else None,
        "experiments": [{"name": "ALL", "arms": [{"recommender": "indexed"}]}],
        "decides": "ALL",
        "port": port,
        "processes": processes,
        "threads": setup.threads,
    }
    file = setup.folder / f"botify-{processes}.yaml"
    file.write_bytes(orjson.dumps(config))
    began = time.perf_counter()
    with started(python("-m", "botify", "--config", file)) as process:
        wait_for(port)
        yield port, time.perf_counter() - began, process


@contextmanager
def _bare(setup: Setup, processes: int) -> Iterator[int]:
    port = free_port()
    environment = {"BARE_REDIS_URL": setup.redis_url, "BARE_LOG": str(setup.folder)}
    options = ["--interface", "wsgi", "--no-ws", "--log-level", "warning", "--backpressure", "1024"]
    options += ["--workers", str(processes), "--blocking-threads", str(setup.threads), "--port", str(port)]
    with started(python("-m", "granian", *options, "benchmarks.bare_service:app"), environment):
        wait_for(port)
        yield port


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of its own that keeps nothing, by its URL."""
    program = shutil.which("redis-server")
    if program is None or shutil.which("wrk") is None:
        raise SystemExit("redis-server and wrk are needed (Debian: apt-get install redis-server wrk)")
    port = free_port()
    with started([program, "--port", str(port), "--save", "", "--dir", str(folder)]):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def started(argv: list[str], environment: dict[str, str] | None = None) -> Iterator[psutil.Process]:
    """A process, ended at the end."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def wait_for(port: int, timeout_s: float = 20) -> None:
    """Waits until a service answers."""
    deadline = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
        else:
            return
    raise TimeoutError(f"nobody answers on port {port}")


if __name__ == "__main__":
    app()
