"""The service against a bare view with the same I/O under the same server, by wrk, in turns.

    python -m benchmarks.service

Needs wrk and redis-server (Debian: `apt-get install wrk redis-server`). Both run side by side all the time and are
loaded in turns. A session is ten `/next` and a `/last`; 512 listeners listen at any time, and each waits for an answer
before it asks again.
"""

import http.client
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer

from benchmarks.harness import console, median_ratio, python, running, show, show_machine, take_turns
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.botify.redis_server import RedisServer
from tests.programs import free_port

BATCH, BATCHES = 1000, 40
LISTENERS, TRACKS, SECONDS = 10_000, 50_000, 4
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


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 4,
) -> None:
    """Load one process without Redis, then two with it, each beside the bare view."""
    with tempfile.TemporaryDirectory(prefix="botify-benchmark-") as name:
        folder = Path(name)
        catalogue = write_catalogue(folder / "tracks.json", [track // 10 for track in range(TRACKS)])
        publish(folder, "one", random_lists(LISTENERS, TRACKS), catalogue=catalogue, neighbours={0: [1]})
        (folder / "load.lua").write_text(LOAD_SCRIPT)
        redis = RedisServer(folder)
        redis.start()
        try:
            for processes in (1, 2):
                _compare(folder, redis.url, processes, threads, repeats)
        finally:
            redis.stop()
    show_machine("flask", "granian", "redis")


def _compare(folder: Path, redis_url: str, processes: int, threads: int, repeats: int) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(_service(folder, redis_url, processes, threads))
        bare_port = stack.enter_context(_bare(folder, redis_url, processes, threads))
        path = "/bare/" if processes == 1 else "/bare-redis/"
        kinds: dict[str, Callable[[], Load]] = {}
        for connections in (32, 1):
            kinds[f"bare view, {connections}"] = partial(wrk, folder, bare_port, path, connections)
            kinds[f"/next, {connections}"] = partial(wrk, folder, service.port, "/next/", connections)
        loads = take_turns(kinds, repeats)
        rows = [_row(name, found, loads[f"bare view, {name.rpartition(' ')[2]}"]) for name, found in loads.items()]
        title = f"{processes} process(es){', Redis' if processes > 1 else ''}; connections"
        show(title, ("", "requests/s", "x bare", "p50 ms", "p99 ms", "failed"), rows)
        memory = max(worker.memory_full_info().pss for worker in service.process.children()) / 2**20
        console.print(f"start {service.start_s:.2f} s; a process {memory:.0f} MiB (PSS)")
        console.print(f"batches of {BATCH:,} on one connection: {_batch_rate(service.port):,.0f} recommendations/s")


def _row(name: str, loads: list[Load], bare: list[Load]) -> tuple[str, ...]:
    rates = [load.requests_s for load in loads]
    return (
        name,
        f"{statistics.median(rates):,.0f}",
        f"{median_ratio(rates, [load.requests_s for load in bare]):.2f}",
        f"{statistics.median(load.p50_ms for load in loads):.2f}",
        f"{statistics.median(load.p99_ms for load in loads):.1f}",
        str(sum(load.failed for load in loads)),
    )


def wrk(folder: Path, port: int, prefix: str, connections: int) -> Load:
    """Load a service for some seconds."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(folder / "load.lua")]
    argv += [f"http://127.0.0.1:{port}", "--", prefix, str(LISTENERS), str(TRACKS)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        float(rate[1]) if rate else 0.0,
        _percentile_ms(text, "50%"),
        _percentile_ms(text, "99%"),
        int(failed[1]) if failed else 0,
    )


def _percentile_ms(text: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", text)
    return float(found[1]) * _UNITS_MS[found[2]] if found else float("nan")


def _batch_rate(port: int) -> float:
    """Return the median rate of some batches."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for number in range(BATCHES):
        users = range(number * BATCH % LISTENERS, number * BATCH % LISTENERS + BATCH)
        body = orjson.dumps({"requests": [{"user": user, "track": user % TRACKS, "time": 0.5} for user in users]})
        began = time.perf_counter()
        connection.request("POST", "/next", body)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        if answer.status != http.client.OK:
            raise RuntimeError(f"status {answer.status}")
    return BATCH / statistics.median(took)


@dataclass(frozen=True)
class Running:
    """A service that answers: where, how long it took to start, and its parent process."""

    port: int
    start_s: float
    process: psutil.Process


@contextmanager
def _service(folder: Path, redis_url: str, processes: int, threads: int) -> Iterator[Running]:
    port = free_port()
    config: dict[str, Any] = {
        "catalog": str(folder / "tracks.json"),
        "recommendations": str(folder / "current" / "recommendations.jsonl"),
        "log_dir": str(folder / f"log-{processes}"),
        "redis_url": redis_url if processes > 1 else None,
        "experiments": [{"name": "ALL", "arms": [{"recommender": "indexed"}]}],
        "decides": "ALL",
        "port": port,
        "processes": processes,
        "threads": threads,
    }
    file = folder / f"botify-{processes}.yaml"
    file.write_bytes(orjson.dumps(config))
    began = time.perf_counter()
    with running(python("-m", "botify", "--config", file)) as process:
        _wait_for(port)
        yield Running(port, time.perf_counter() - began, process)


@contextmanager
def _bare(folder: Path, redis_url: str, processes: int, threads: int) -> Iterator[int]:
    port = free_port()
    options = ["--interface", "wsgi", "--no-ws", "--log-level", "warning", "--backpressure", "1024"]
    options += ["--workers", str(processes), "--blocking-threads", str(threads), "--port", str(port)]
    environment = {"BARE_REDIS_URL": redis_url, "BARE_LOG": str(folder)}
    with running(python("-m", "granian", *options, "benchmarks.bare_service:app"), environment):
        _wait_for(port)
        yield port


def _wait_for(port: int, timeout_s: float = 20) -> None:
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
    raise TimeoutError(f"no answer on port {port}")


if __name__ == "__main__":
    typer.run(main)
