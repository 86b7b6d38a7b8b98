"""The service against a bare view with the same I/O under the same server, by wrk, in turns.

    python -m benchmarks.service

Needs wrk and redis-server (Debian: `apt-get install wrk redis-server`). Both run side by side all
the time and are loaded in turns. A session is ten `/next` and a `/last`; 512 listeners listen at
any time, and each waits for an answer before it asks again. `/recommend`, `/similar` and `/rank`,
of 200 candidates, are asked for one listener or track after the other.
"""

import http.client
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.harness import (
    console,
    median_ratio,
    memory_mib,
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
from tests.botify.redis_server import shared_server
from tests.faults.served import Published, Served, connect, serve
from tests.programs import free_port, is_open
from tests.waiting import wait_until

BATCH, BATCHES = 1000, 40
LISTENERS, TRACKS = 10_000, 50_000
LOAD_SCRIPT = """
local n, active = 0, 512
function init(words)
  prefix, listeners, tracks, n = words[1], tonumber(words[2]), tonumber(words[3]), math.random(1e6)
end
function request()
  n = n + 1
  local round = math.floor(n / active)
  if prefix == "/recommend/" then return wrk.format("GET", prefix .. (n * 7 % listeners)) end
  if prefix == "/similar/" then return wrk.format("GET", prefix .. (n * 7 % tracks)) end
  if prefix == "/rank/" then
    local candidates = {}
    for i = 1, 200 do candidates[i] = (n * 7 + i * 101) % tracks end
    local body = '{"user":%d,"candidates":[%s]}'
    body = body:format(n * 7 % listeners, table.concat(candidates, ","))
    return wrk.format("POST", "/rank", nil, body)
  end
  local user, turn = (math.floor(round / 11) * active + n % active) % listeners, round % 11
  local path = (turn == 10 and prefix == "/next/") and "/last/" or prefix
  local body = '{"track":' .. (n * 7 % tracks) .. ',"time":0.5}'
  return wrk.format("POST", path .. user, nil, body)
end
function done(summary, latency)
  local rate = 1e6 * summary.requests / summary.duration
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  print(string.format("[%f,%f,%f,%d]", rate, p50 / 1000, p99 / 1000, summary.errors.status))
end
"""
# requests a second, median and 99th percentile of the latency in ms, failed
Load = tuple[float, float, float, int]
HEADER = ("requests/s", "p50 ms", "p99 ms", "failed")


def main(
    repeats: int = 3,
    duration_s: Annotated[int, typer.Option(min=1, help="Of a turn.")] = 4,
) -> None:
    """Load one process without Redis, then two with it, each beside the bare view."""
    redis_url = shared_server().url
    with tempfile.TemporaryDirectory(prefix="botify-benchmark-") as name:
        folder = Path(name)
        artists = [track // 10 for track in range(TRACKS)]
        catalogue = write_catalogue(folder / "tracks.json", artists)
        lists = random_lists(LISTENERS, TRACKS)
        version = publish(folder, "one", lists, catalogue=catalogue)
        write_lists(version / "similar.jsonl", random_lists(TRACKS, TRACKS), of="track")
        update_manifest(version, "similar.jsonl")
        (folder / "load.lua").write_text(LOAD_SCRIPT)
        for processes, url in ((1, None), (2, redis_url)):
            began, log = time.perf_counter(), folder / f"log-{processes}"
            service = serve(
                Published(folder),
                log,
                redis_url=url,
                processes=processes,
            )
            with service as served:
                wait_until(served.is_ready, "the service")
                started_s = time.perf_counter() - began
                console.print(
                    f"{processes} process(es){', Redis' if url else ''}: "
                    f"{started_s:.2f} s to start"
                )
                with serve_bare(folder, url, processes) as bare_port:
                    compare(folder, bare_port, served, repeats, duration_s)
    show_machine("flask", "granian", "redis")


@contextmanager
def serve_bare(folder: Path, redis_url: str | None, processes: int) -> Iterator[int]:
    """Serve the bare view for the block; yield its port."""
    port = free_port()
    options = ["--interface", "asgi", "--http", "1", "--no-ws"]
    options += ["--log-level", "warning", "--backpressure", "8192"]
    options += ["--workers", str(processes), "--port", str(port)]
    environment = {
        **os.environ,
        "BARE_REDIS_URL": redis_url or "",
        "BARE_LOG": str(folder),
    }
    argv = python("-m", "granian", *options, "benchmarks.bare_service:server")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        try:
            wait_until(lambda: is_open(port), "the bare view to start")
            yield port
        finally:
            process.terminate()


def compare(
    folder: Path, bare_port: int, served: Served, repeats: int, duration_s: int
) -> None:
    """Load all paths in turns, and print the table."""
    rows = []
    for connections in (32, 1):
        load = partial(load_path, folder, connections, duration_s)
        kinds = {"bare view": partial(load, bare_port, "/next/")}
        for path in ("/next", "/recommend", "/similar", "/rank"):
            kinds[path] = partial(load, served.port, f"{path}/")
        loads = take_turns(kinds, repeats)
        bare_rates = [rate for rate, *_ in loads["bare view"]]
        for name, turns in loads.items():
            ratio = median_ratio([rate for rate, *_ in turns], bare_rates)
            rows.append((name, connections, f"{ratio:.2f}", *summarise(turns)))
    show("", ("", "connections", "x bare", *HEADER), rows)
    memory = max(memory_mib(worker.pid) for worker in served.workers())
    with closing(connect(served.port)) as connection:
        times_s = [seconds(ask_batch, connection, n) for n in range(BATCHES)]
    rate = BATCH / statistics.median(times_s)
    console.print(
        f"a process {memory:.0f} MiB (PSS); "
        f"batches of {BATCH:,} on one connection: {rate:,.0f} recommendations/s"
    )


def summarise(turns: Sequence[Load]) -> tuple[object, ...]:
    """Format the medians of turns, and count the failures; `HEADER` has their names."""
    rates, p50_ms, p99_ms, failed = zip(*turns, strict=True)
    rate, p50, p99 = map(statistics.median, (rates, p50_ms, p99_ms))
    return f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.1f}", sum(failed)


def load_path(
    folder: Path, connections: int, duration_s: int, port: int, prefix: str
) -> Load:
    """Load a path with wrk."""
    script = str(folder / "load.lua")
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "-s", script]
    argv += [f"http://127.0.0.1:{port}", "--", prefix, str(LISTENERS), str(TRACKS)]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate, p50_ms, p99_ms, failed = orjson.loads(output.splitlines()[-1])
    return rate, p50_ms, p99_ms, failed


def ask_batch(connection: http.client.HTTPConnection, number: int) -> None:
    """Ask for the next tracks of a batch of listeners."""
    first = number * BATCH % LISTENERS
    requests = [
        {"user": user, "track": user % TRACKS, "time": 0.5}
        for user in range(first, first + BATCH)
    ]
    connection.request("POST", "/next", orjson.dumps({"requests": requests}))
    answer = connection.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"status {answer.status}")


if __name__ == "__main__":
    typer.run(main)
