"""How long a service without a proxy takes to answer others while it is attacked.

    python -m benchmarks.attacks

Two processes with Redis. A client asks `/health/live` and another `/next` again and again, each
over a new connection; the longest time of each is shown. Needs redis-server.
"""

import http.client
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.harness import show, show_machine
from tests.botify.exports import write_catalogue
from tests.botify.redis_server import RedisServer
from tests.faults.served import TRACKS, Published, Served, serve
from tests.faults.test_service_edge import GREEDY, H2C, HALF, HEAD, greedy, held

PAUSE_S = 0.02
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
                published, folder / "log", processes=2, redis_url=redis.url
            ) as served:
                rows = _attack_all(served, seconds, slow_heads_s)
                rows.append(_kill_master(served))
        finally:
            redis.stop()
    header = ("Attack", "health, longest ms", "/next, longest ms", "asked", "failed")
    show("Attacks", header, rows)
    show_machine("flask", "granian", "redis")


def _attack_all(
    served: Served, seconds: int, slow_heads_s: int
) -> list[tuple[str, ...]]:
    port = served.port
    attacks: dict[str, tuple[Attack, int]] = {
        "none": (partial(held, port, []), seconds),
        "200 unfinished bodies": (partial(held, port, [HALF] * 200), seconds),
        "200 unfinished bodies, HTTP/2": (partial(held, port, [H2C] * 200), seconds),
        "16 half-sent bodies": (partial(held, port, [HALF] * 16), seconds),
        "200 slow heads": (partial(_dripping, port, 200), slow_heads_s),
        "a worker killed twice": (partial(_killing, served), seconds),
    }
    for title, (data, count) in GREEDY.items():
        attacks[title] = (partial(greedy, port, data, count), seconds)
    return [
        _row(title, served, attack, length_s)
        for title, (attack, length_s) in attacks.items()
    ]


def _row(
    title: str, served: Served, attack: Attack, length_s: float
) -> tuple[str, ...]:
    ended = threading.Event()
    health, following = list[float](), list[float]()
    failed = list[str]()
    clients = [
        threading.Thread(target=_ask_until, args=(ended, ask, times, failed))
        for ask, times in (
            (partial(served.ask, "GET", "/health/live"), health),
            (
                partial(served.ask, "POST", "/next/7", {"track": 1, "time": 0.5}),
                following,
            ),
        )
    ]
    with attack():
        for client in clients:
            client.start()
        time.sleep(length_s)
        ended.set()
        for client in clients:
            client.join()
    longest = [f"{max(times) * 1000:.0f}" for times in (health, following)]
    return (title, *longest, str(len(health) + len(following)), str(len(failed)))


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
def _dripping(port: int, count: int) -> Iterator[None]:
    """Send heads one byte at a time, a byte of each every half second."""
    ended = threading.Event()

    def drip() -> None:
        with held(port, [HEAD] * count) as connections:
            while not ended.wait(0.5):
                for connection in connections:
                    try:
                        connection.sendall(b"x")
                    except OSError:  # closed: it was too slow
                        continue

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _killing(served: Served) -> Iterator[None]:
    def kill() -> None:
        for _ in range(2):
            served.workers()[-1].kill()
            time.sleep(3)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _kill_master(served: Served) -> tuple[str, ...]:
    workers = served.workers()
    served.process.kill()
    began_s = time.perf_counter()
    alive = psutil.wait_procs(workers, timeout=60)[1]
    took = f"{len(alive)} orphans after {time.perf_counter() - began_s:.1f} s"
    return ("the master killed", took, "", "", "")


if __name__ == "__main__":
    typer.run(main)
