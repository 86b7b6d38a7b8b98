"""How long a service without a proxy takes to answer others while it is attacked.

    python -m benchmarks.attacks

Two processes with Redis. A client asks `/health/live` and another `/next` again and again, each
over a new connection. Needs redis-server.
"""

import http.client
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks.harness import seconds, show, show_machine
from tests.botify.redis_server import RedisServer
from tests.faults.served import Served, publish_first, serve
from tests.faults.test_service_edge import (
    GREEDY,
    H2C,
    HALF,
    HEAD,
    MANY,
    beside,
    held,
    post,
    send_part,
)

PAUSE_S = 0.02
# clients of an attack, where they are more than in the test
COUNTS = {"bodies a byte short of the limit": 600, "long requests": 1000}
# what is held or done at once while the service is asked
Attack = Sequence[Callable[[], AbstractContextManager[object]]]


def main(
    duration_s: Annotated[int, typer.Option(min=1, help="Of each attack.")] = 20,
) -> None:
    """Attack a service in several ways, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="botify-attacks-") as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        redis = RedisServer(folder)
        redis.start()
        stack.callback(redis.stop)
        settings: dict[str, Any] = {
            "processes": 2,
            "redis_url": redis.url,
            "redis_timeout_s": 0.075,
        }
        service = serve(publish_first(folder), folder / "log", **settings)
        served = stack.enter_context(service)
        rows = [
            measure(title, served, attack, duration_s)
            for title, attack in list_attacks(served, redis).items()
        ]
        rows.append(kill_master(served))
    header = ("Attack", "health", "/next, p99", "/next", "MiB", "asked", "failed")
    show("Attacks: the longest time in ms, and memory of a process", header, rows)
    show_machine("flask", "granian", "redis")


def list_attacks(served: Served, redis: RedisServer) -> dict[str, Attack]:
    """List the attacks by name."""
    port = served.port
    many = MANY[:2000]
    requests = [post(b"/next", {"requests": order}) for order in (many, many[::-1])]
    batches = [
        partial(beside, partial(ask_batches, port, data), 2) for data in requests
    ]
    kill = partial(beside, partial(kill_workers, served), 1)
    pause = partial(beside, partial(pause_redis, redis, 1.0, 1.0), 1)
    slow = partial(beside, partial(pause_redis, redis, 0.05, 0.1), 1)
    takers = {
        title: [partial(beside, send_part, COUNTS.get(title, count), port, data)]
        for title, (data, count) in GREEDY.items()
    }
    return {
        "none": [],
        "200 unfinished bodies": [partial(held, port, [HALF] * 200)],
        "200 unfinished bodies, HTTP/2": [partial(held, port, [H2C] * 200)],
        "batches of 2,000 in opposite orders": batches,
        "the same, a worker killed every 3 s": [*batches, kill],
        "the same, Redis paused for 1 s": [*batches, pause],
        "the same, a slow Redis": [*batches, slow],
        **takers,
        "200 slow heads": [partial(beside, partial(send_heads, port, 200), 1)],
    }


def measure(
    title: str, served: Served, attack: Attack, duration_s: int
) -> tuple[str, ...]:
    """Ask the service during an attack.

    Returns:
        The cells of a row.
    """
    health, following, failed = list[float](), list[float](), list[str]()
    ask_health = partial(served.ask, "GET", "/health/live")
    ask_next = partial(served.ask, "POST", "/next/1999", {"track": 1, "time": 0.5})
    memory = 0
    with ExitStack() as stack:
        for begin in attack:
            stack.enter_context(begin())
        for ask, times_s in ((ask_health, health), (ask_next, following)):
            stack.enter_context(beside(partial(ask_on, ask, times_s, failed), 1))
        for _ in range(duration_s):
            time.sleep(1)
            for worker in served.workers():
                with suppress(psutil.NoSuchProcess):  # just killed
                    memory = max(memory, worker.memory_info().rss)
    p99 = sorted(following)[int(0.99 * len(following))]
    times = [f"{1000 * s:.0f}" for s in (max(health), p99, max(following))]
    counts = (memory >> 20, len(health) + len(following), len(failed))
    return (title, *times, *map(str, counts))


def ask_on(
    ask: Callable[[], tuple[int, object]],
    times_s: list[float],
    failed: list[str],
    ended: threading.Event,
) -> None:
    """Ask again and again, and keep the times of answers and what failed."""
    while not ended.wait(PAUSE_S):
        began_s = time.perf_counter()
        try:
            status, _ = ask()
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error))
            continue
        times_s.append(time.perf_counter() - began_s)
        if status != http.client.OK:
            failed.append(str(status))


def send_heads(port: int, count: int, ended: threading.Event) -> None:
    """Send heads one byte at a time, a byte of each every half second."""
    with held(port, [HEAD] * count) as connections:
        while not ended.wait(0.5):
            for connection in connections:
                with suppress(OSError):  # closed: it was too slow
                    connection.sendall(b"x")


def ask_batches(port: int, data: bytes, ended: threading.Event) -> None:
    """Ask for a batch, one after the other, over new connections."""
    data = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    while not ended.is_set():
        with (
            suppress(OSError),  # of a worker that was killed
            socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        ):
            connection.sendall(data)
            while connection.recv(2**16):
                pass


def kill_workers(served: Served, ended: threading.Event) -> None:
    """Kill a worker every three seconds."""
    while not ended.wait(3):
        with suppress(psutil.NoSuchProcess):
            served.workers()[-1].kill()


def pause_redis(
    redis: RedisServer, between_s: float, length_s: float, ended: threading.Event
) -> None:
    """Pause Redis again and again."""
    while not ended.wait(between_s):
        redis.pause()
        time.sleep(length_s)
        redis.resume()


def kill_master(served: Served) -> tuple[str, ...]:
    """Kill the master, and wait for its workers to end."""
    workers = served.workers()
    served.process.kill()
    took_s = seconds(psutil.wait_procs, workers, 60)
    orphans = sum(worker.is_running() for worker in workers)
    took = f"{orphans} orphans after {took_s:.1f} s"
    return ("the master killed", took, *[""] * 5)


if __name__ == "__main__":
    typer.run(main)
