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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.harness import show, show_machine
from tests.botify.exports import write_catalogue
from tests.botify.redis_server import RedisServer
from tests.faults.served import TRACKS, Published, Served, serve
from tests.faults.test_service_edge import (
    GREEDY,
    H2C,
    HALF,
    HEAD,
    MANY,
    greedy,
    held,
    post,
)

PAUSE_S = 0.02
# clients of an attack, where they are more than in the test
COUNTS = {"bodies a byte short of the limit": 600, "long requests": 1000}
Attack = Callable[[], AbstractContextManager[object]]


def main(
    seconds: Annotated[int, typer.Option(min=1, help="Of each attack.")] = 20,
    slow_heads_s: Annotated[int, typer.Option(min=1)] = 60,
) -> None:
    """Attack a service in several ways, one after the other."""
    with tempfile.TemporaryDirectory(prefix="botify-attacks-") as name:
        folder = Path(name)
        redis = RedisServer(folder)
        write_catalogue(folder / "tracks.json", [t // 10 for t in range(TRACKS)])
        published = Published(folder)
        published.publish("one")
        redis.start()
        try:
            with serve(
                published,
                folder / "log",
                processes=2,
                redis_url=redis.url,
                redis_timeout_s=0.075,
            ) as served:
                rows = [
                    _row(title, served, attack, length_s)
                    for title, (attack, length_s) in _attacks(
                        served, redis, seconds, slow_heads_s
                    ).items()
                ]
                rows.append(_kill_master(served))
        finally:
            redis.stop()
    header = ("Attack", "health", "/next, p99", "/next", "MiB", "asked", "failed")
    show("Attacks: the longest time in ms, and memory of a process", header, rows)
    show_machine("flask", "granian", "redis")


def _attacks(
    served: Served, redis: RedisServer, seconds: int, slow_heads_s: int
) -> dict[str, tuple[Attack, int]]:
    """Return the attacks and how long each lasts, by name."""
    port = served.port
    batches = [
        partial(_ask_batches, port, post(b"/next", {"requests": MANY[:2000][::step]}))
        for step in (1, -1)
    ] * 2
    kill = partial(_kill_workers, served)
    pause, slow = (partial(_pause, redis, *times) for times in ((1, 1), (0.05, 0.1)))
    attacks: dict[str, Attack] = {
        "none": partial(held, port, []),
        "200 unfinished bodies": partial(held, port, [HALF] * 200),
        "200 unfinished bodies, HTTP/2": partial(held, port, [H2C] * 200),
        "16 half-sent bodies": partial(held, port, [HALF] * 16),
        "a worker killed every 3 s": partial(_meanwhile, kill),
        "batches of 2,000 in opposite orders": partial(_meanwhile, *batches),
        "the same, a worker killed": partial(_meanwhile, *batches, kill),
        "the same, Redis paused for 1 s": partial(_meanwhile, *batches, pause),
        "the same, a slow Redis": partial(_meanwhile, *batches, slow),
    }
    for title, (data, count) in GREEDY.items():
        attacks[title] = partial(greedy, port, data, COUNTS.get(title, count))
    drip = partial(_meanwhile, partial(_drip, port, 200))
    timed = {title: (attack, seconds) for title, attack in attacks.items()}
    return timed | {"200 slow heads": (drip, slow_heads_s)}


def _row(
    title: str, served: Served, attack: Attack, length_s: float
) -> tuple[str, ...]:
    ended = threading.Event()
    health, following = list[float](), list[float]()
    failed = list[str]()
    ask = partial(served.ask, "POST", "/next/1999", {"track": 1, "time": 0.5})
    with attack():
        for asked, times in (
            (partial(served.ask, "GET", "/health/live"), health),
            (ask, following),
        ):
            threading.Thread(
                target=_ask_until, args=(ended, asked, times, failed)
            ).start()
        memory = 0
        for _ in range(round(length_s)):
            time.sleep(1)
            for worker in served.workers():
                with suppress(psutil.NoSuchProcess):  # just killed
                    memory = max(memory, worker.memory_info().rss)
        ended.set()
    p99 = sorted(following)[int(0.99 * len(following))]
    shown = [f"{1000 * s:.0f}" for s in (max(health), p99, max(following))]
    counts = len(health) + len(following), len(failed)
    return (title, *shown, str(memory >> 20), *map(str, counts))


def _ask_until(
    ended: threading.Event,
    ask: Callable[[], tuple[int, object]],
    times_s: list[float],
    failed: list[str],
) -> None:
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


@contextmanager
def _meanwhile(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do works in threads until the block ends."""
    ended = threading.Event()
    with ExitStack() as stack:
        for work in works:
            thread = threading.Thread(target=work, args=(ended,))
            thread.start()
            stack.callback(thread.join)
        stack.callback(ended.set)
        yield


def _drip(port: int, count: int, ended: threading.Event) -> None:
    """Send heads one byte at a time, a byte of each every half second."""
    with held(port, [HEAD] * count) as connections:
        while not ended.wait(0.5):
            for connection in connections:
                with suppress(OSError):  # closed: it was too slow
                    connection.sendall(b"x")


def _ask_batches(port: int, data: bytes, ended: threading.Event) -> None:
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


def _kill_workers(served: Served, ended: threading.Event) -> None:
    while not ended.wait(3):
        with suppress(psutil.NoSuchProcess):
            served.workers()[-1].kill()


def _pause(
    redis: RedisServer, between_s: float, length_s: float, ended: threading.Event
) -> None:
    while not ended.wait(between_s):
        redis.pause()
        time.sleep(length_s)
        redis.resume()


def _kill_master(served: Served) -> tuple[str, ...]:
    workers = served.workers()
    served.process.kill()
    began_s = time.perf_counter()
    alive = psutil.wait_procs(workers, timeout=60)[1]
    took = f"{len(alive)} orphans after {time.perf_counter() - began_s:.1f} s"
    return ("the master killed", took, *[""] * 5)


if __name__ == "__main__":
    typer.run(main)
