"""WSGI servers side by side: the real service and the bare view under each of them, with Redis, by wrk, in turns.

    pip install gunicorn gevent
    python -m benchmarks.servers

Two processes each, 32 connections, then one connection alone. All servers are started before the first is loaded, and
loaded in turns, so that whatever else the machine does hits all alike.
"""

import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from benchmarks import service
from benchmarks.measure import machine, python
from benchmarks.service import Load, Setup, console
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.programs import free_port

PROCESSES = 2
_APPS = {"bare view": "benchmarks.bare_service:app", "the service": "benchmarks.hosted:app"}
_PATHS = {"bare view": "/bare-redis/", "the service": "/next/"}
app = typer.Typer(add_completion=False)


@dataclass
class Candidate:
    """An application under a server, where it listens, and what wrk measured."""

    server: str
    application: str
    port: int
    crowded: list[Load] = field(default_factory=list)
    alone: list[Load] = field(default_factory=list)


@app.command()
def compare(
    threads: Annotated[int, typer.Option(min=1, help="Of each process, where a server has threads.")] = 4,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[int, typer.Option(min=1, max=10, help="Of each run of wrk.")] = 3,
    listeners: Annotated[int, typer.Option(min=1)] = 10_000,
    tracks: Annotated[int, typer.Option(min=100)] = 50_000,
) -> None:
    """Runs every server in turns and prints the table."""
    with tempfile.TemporaryDirectory(prefix="servers-benchmark-") as name, ExitStack() as running:
        folder = Path(name)
        catalogue = write_catalogue(folder / "tracks.json", [track // 10 for track in range(tracks)])
        publish(folder, "one", random_lists(listeners, tracks), catalogue=catalogue, neighbours={0: [1]})
        (folder / "load.lua").write_text(service.LOAD_SCRIPT)
        redis_url = running.enter_context(service.redis_server(folder))
        setup = Setup(folder, listeners, tracks, redis_url, threads, seconds)
        candidates = [
            _start(running, setup, server, argv, application)
            for server, argv in _servers(threads).items()
            for application in _APPS
        ]
        for _ in range(repeats):
            for candidate in candidates:
                path = _PATHS[candidate.application]
                candidate.crowded.append(service.wrk(setup, candidate.port, path, 32))
                candidate.alone.append(service.wrk(setup, candidate.port, path, 1))
    console.print(machine("flask", "gevent", "granian", "gunicorn", "redis"))
    console.print(_table(candidates))


def _servers(threads: int) -> dict[str, list[str]]:
    """Each server's command line, without the port and the application."""
    gunicorn = ["-m", "gunicorn", "--workers", str(PROCESSES), "--keep-alive", "60", "--log-level", "error"]
    granian = ["-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", str(PROCESSES)]
    granian += ["--log-level", "error", "--backpressure", "1024"]
    return {
        "granian": [*granian, "--blocking-threads", str(threads)],
        "gunicorn gthread": [*gunicorn, "--worker-class", "gthread", "--threads", str(max(threads, 16))],
        "gunicorn gevent": [*gunicorn, "--worker-class", "gevent"],
        "gunicorn sync": [*gunicorn, "--worker-class", "sync"],
    }


def _start(running: ExitStack, setup: Setup, server: str, argv: list[str], application: str) -> Candidate:
    port = free_port()
    name = f"{server} {application}".replace(" ", "-")
    config = setup.folder / f"{name}.json"
    config.write_bytes(
        orjson.dumps(
            {
                "catalog": str(setup.folder / "tracks.json"),
                "recommendations": str(setup.folder / "current" / "recommendations.jsonl"),
                "log_dir": str(setup.folder / f"log-{name}"),
                "redis_url": setup.redis_url,
                "experiments": [{"name": "ALL", "arms": [{"recommender": "indexed"}]}],
                "decides": "ALL",
            }
        )
    )
    (setup.folder / f"metrics-{name}").mkdir()
    environment = {
        "HOSTED_CONFIG": str(config),
        "PROMETHEUS_MULTIPROC_DIR": str(setup.folder / f"metrics-{name}"),
        "BARE_REDIS_URL": setup.redis_url,
        "BARE_LOG": str(setup.folder),
        "PYTHONPATH": str(Path.cwd()),
    }
    where = ["--port", str(port)] if server == "granian" else ["--bind", f"127.0.0.1:{port}"]
    running.enter_context(service.started(python(*argv, *where, _APPS[application]), {**os.environ, **environment}))
    service.wait_for(port)
    return Candidate(server, application, port)


def _table(candidates: list[Candidate]) -> Table:
    table = Table("server", "", "requests/s", "p50 ms", "p99 ms", "p50 ms alone", "failed")
    for candidate in candidates:
        table.add_row(
            candidate.server,
            candidate.application,
            f"{statistics.median(load.requests_s for load in candidate.crowded):,.0f}",
            f"{statistics.median(load.p50_ms for load in candidate.crowded):.2f}",
            f"{statistics.median(load.p99_ms for load in candidate.crowded):.1f}",
            f"{statistics.median(load.p50_ms for load in candidate.alone):.2f}",
            str(sum(load.failures for load in [*candidate.crowded, *candidate.alone])),
        )
    return table


if __name__ == "__main__":
    app()
