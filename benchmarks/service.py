"""The service against a bare view with the same I/O under the same server, by wrk, in turns.

    python -m benchmarks.service

Needs wrk and redis-server (Debian: `apt-get install wrk redis-server`). Both run side by side all
the time and are loaded in turns. A session is ten `/next` and a `/last`; 512 listeners listen at
any time, and each waits for an answer before it asks again. `/recommend` and `/similar` are asked
for one listener or track after the other.
"""

import http.client
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.harness import (
    console,
    median_ratio,
    python,
    seconds,
    show,
    show_machine,
    take_turns,
)
from tests.botify.exports import (
    publish,
    random_lists,
    update_manifest,
    write_catalogue,
    write_lists,
)
from tests.botify.redis_server import RedisServer
from tests.faults.served import Published, Served, serve
from tests.programs import free_port, is_open
from tests.waiting import wait_until

BATCH, BATCHES = 1000, 40
LISTENERS, TRACKS = 10_000, 50_000
LOAD_SCRIPT = """
local n, active = 0, 512
function init(args)
  prefix, listeners, tracks, n = args[1], tonumber(args[2]), tonumber(args[3]), math.random(1e6)
end
function request()
  n = n + 1
  local round = math.floor(n / active)
  if prefix == "/recommend/" then return wrk.format("GET", prefix .. (n * 7 % listeners)) end
  if prefix == "/similar/" then return wrk.format("GET", prefix .. (n * 7 % tracks)) end
  local user, turn = (math.floor(round / 11) * active + n % active) % listeners, round % 11
  local path = (turn == 10 and prefix == "/next/") and "/last/" or prefix
  return wrk.format("POST", path .. user, nil, '{"track":' .. (n * 7 % tracks) .. ',"time":0.5}')
end
function done(summary, latency)
  local rate = 1e6 * summary.requests / summary.duration
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  print(string.format("[%f,%f,%f,%d]", rate, p50 / 1000, p99 / 1000, summary.errors.status))
end
"""
# requests a second, median and 99th percentile of the latency in ms, failed
Load = tuple[float, float, float, int]


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 2,
    duration_s: Annotated[int, typer.Option(min=1, help="Of a turn.")] = 4,
) -> None:
    """Load one process without Redis, then two with it, each beside the bare view."""
    with tempfile.TemporaryDirectory(prefix="botify-benchmark-") as name:
        folder = Path(name)
        catalogue = write_catalogue(
            folder / "tracks.json", [track // 10 for track in range(TRACKS)]
        )
        version = publish(
            folder, "one", random_lists(LISTENERS, TRACKS), catalogue=catalogue
        )
        write_lists(version / "similar.jsonl", random_lists(TRACKS, TRACKS), of="track")
        update_manifest(version, "similar.jsonl")
        (folder / "load.lua").write_text(LOAD_SCRIPT)
        redis = RedisServer(folder)
        redis.start()
        try:
            for processes, redis_url in ((1, None), (2, redis.url)):
                began, log = time.perf_counter(), folder / f"log-{processes}"
                with serve(
                    Published(folder),
                    log,
                    redis_url=redis_url,
                    processes=processes,
                    threads=threads,
                ) as served:
                    wait_until(
                        lambda: served.ask("GET", "/health/ready")[0] == http.client.OK,
                        "the service",
                    )
                    title = f"{processes} process(es){', Redis' if redis_url else ''}"
                    console.print(
                        f"{title}: {time.perf_counter() - began:.2f} s to start"
                    )
                    with _bare(folder, redis_url, processes, threads) as bare_port:
                        _compare(folder, bare_port, served, repeats, duration_s)
        finally:
            redis.stop()
    show_machine("flask", "granian", "redis")


def _compare(
    folder: Path, bare_port: int, served: Served, repeats: int, duration_s: int
) -> None:
    kinds: dict[str, Callable[[], Load]] = {}
    views = (
        ("bare view", bare_port, "/bare/"),
        *(
            (path, served.port, f"{path}/")
            for path in ("/next", "/recommend", "/similar")
        ),
    )
    for connections in (32, 1):
        for name, port, path in views:
            load = partial(wrk, folder, port, path, connections, duration_s)
            kinds[f"{name}, {connections}"] = load
    loads = take_turns(kinds, repeats)
    rows = [
        _row(name, found, loads[f"bare view, {name.rpartition(' ')[2]}"])
        for name, found in loads.items()
    ]
    header = ("", "requests/s", "x bare", "p50 ms", "p99 ms", "failed")
    show("Connections", header, rows)
    memory = max(worker.memory_full_info().pss for worker in served.workers()) / 2**20
    rate = _batch_rate(served.port)
    console.print(
        f"a process {memory:.0f} MiB (PSS); "
        f"batches of {BATCH:,} on one connection: {rate:,.0f} recommendations/s"
    )


def _row(name: str, loads: list[Load], bare: list[Load]) -> tuple[str, ...]:
    rates, p50_ms, p99_ms, failed = zip(*loads, strict=True)
    ratio = median_ratio(rates, [load[0] for load in bare])
    rate, p50, p99 = map(statistics.median, (rates, p50_ms, p99_ms))
    cells = (f"{rate:,.0f}", f"{ratio:.2f}", f"{p50:.2f}", f"{p99:.1f}")
    return (name, *cells, str(sum(failed)))


def wrk(
    folder: Path, port: int, prefix: str, connections: int, duration_s: int
) -> Load:
    """Load a service."""
    script = str(folder / "load.lua")
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "-s", script]
    argv += [f"http://127.0.0.1:{port}", "--", prefix, str(LISTENERS), str(TRACKS)]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate, p50_ms, p99_ms, failed = orjson.loads(output.splitlines()[-1])
    return rate, p50_ms, p99_ms, failed


def _batch_rate(port: int) -> float:
    """Return the median rate of some batches."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        return BATCH / statistics.median(
            seconds(_ask, connection, number) for number in range(BATCHES)
        )


def _ask(connection: http.client.HTTPConnection, number: int) -> None:
    users = range(number * BATCH % LISTENERS, number * BATCH % LISTENERS + BATCH)
    requests = [{"user": user, "track": user % TRACKS, "time": 0.5} for user in users]
    connection.request("POST", "/next", orjson.dumps({"requests": requests}))
    answer = connection.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"status {answer.status}")


@contextmanager
def _bare(
    folder: Path, redis_url: str | None, processes: int, threads: int
) -> Iterator[int]:
    port = free_port()
    options = ["--interface", "asgi", "--http", "1", "--no-ws"]
    options += ["--log-level", "warning", "--backpressure", "8192"]
    options += ["--workers", str(processes), "--port", str(port)]
    environment = {
        **os.environ,
        "BARE_REDIS_URL": redis_url or "",
        "BARE_LOG": str(folder),
        "BARE_THREADS": str(threads),
    }
    argv = python("-m", "granian", *options, "benchmarks.bare_service:server")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        try:
            wait_until(lambda: is_open(port), "the bare view to start")
            yield port
        finally:
            process.terminate()


if __name__ == "__main__":
    typer.run(main)
